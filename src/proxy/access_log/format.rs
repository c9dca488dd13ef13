//! The lines of the access log in JSON and in the Common and Combined Log Format.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::escape;
use super::options::AccessLogFormat;
use super::outcome::Outcome;
use super::request_record::RequestRecord;

/// Formats the line of a request, with its line break.
pub(super) fn line(format: AccessLogFormat, request: &RequestRecord, outcome: &Outcome) -> String {
    let mut line = String::with_capacity(request.texts.len() + 320);
    match format {
        AccessLogFormat::Json => json(&mut line, request, outcome),
        AccessLogFormat::Common | AccessLogFormat::Combined => common(&mut line, request, outcome),
    }
    if format == AccessLogFormat::Combined {
        line.push(' ');
        quoted_or_dash(&mut line, request.referer());
        line.push(' ');
        quoted_or_dash(&mut line, request.user_agent());
    }
    // At the end, where the readers of these formats expect what they do not know.
    if format != AccessLogFormat::Json
        && let Some(id) = outcome.trace_id
    {
        put(&mut line, format_args!(" {id}"));
    }
    line.push('\n');
    line
}

fn json(line: &mut String, request: &RequestRecord, outcome: &Outcome) {
    let time = humantime::format_rfc3339_millis(request.time);
    let (ip, port) = (request.client.ip(), request.client.port());
    put(
        line,
        format_args!("{{\"time\":\"{time}\",\"client\":\"{ip}\",\"port\":{port}"),
    );
    for (key, value) in [
        ("method", request.method()),
        ("host", request.host()),
        ("path", request.path()),
        ("referer", request.referer()),
        ("user_agent", request.user_agent()),
    ] {
        if !value.is_empty() {
            put(line, format_args!(",\"{key}\":\""));
            escape::json(line, value);
            line.push('"');
        }
    }
    put(
        line,
        format_args!(",\"protocol\":\"{:?}\"", request.version),
    );
    if let Some(id) = &outcome.request_id {
        line.push_str(",\"request_id\":\"");
        escape::json(line, id.as_bytes());
        line.push('"');
    }
    if let Some(id) = outcome.trace_id {
        put(line, format_args!(",\"trace_id\":\"{id}\""));
    }
    if let Some(upstream) = &outcome.upstream {
        put(line, format_args!(",\"upstream\":\"{upstream}\""));
    }
    put(
        line,
        format_args!(
            ",\"status\":{},\"bytes\":{}",
            outcome.shown_status(),
            outcome.sent
        ),
    );
    if let Some(first_byte) = outcome.first_byte {
        put(
            line,
            format_args!(",\"first_byte_ms\":{}", Millis(first_byte)),
        );
    }
    put(
        line,
        format_args!(",\"duration_ms\":{}", Millis(outcome.duration)),
    );
    if let Some(reason) = outcome.reason {
        put(line, format_args!(",\"reason\":\"{reason}\""));
    }
    if outcome.has_client_left() {
        line.push_str(",\"client_left\":true");
    }
    line.push('}');
}

fn common(line: &mut String, request: &RequestRecord, outcome: &Outcome) {
    put(line, format_args!("{} - - [", request.client.ip()));
    // The form `Sun, 06 Nov 1994 08:49:37 GMT` has its parts at fixed positions.
    let date = httpdate::fmt_http_date(request.time);
    let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or_default();
    let (day, month, year, time) = (part(5..7), part(8..11), part(12..16), part(17..25));
    put(line, format_args!("{day}/{month}/{year}:{time} +0000] \""));
    match request.method() {
        b"" => line.push('-'),
        method => {
            escape::quoted(line, method);
            line.push(' ');
            escape::quoted(line, request.path());
            put(line, format_args!(" {:?}", request.version));
        }
    }
    let (status, sent) = (outcome.shown_status(), outcome.sent);
    put(line, format_args!("\" {status} "));
    match sent {
        0 => line.push('-'),
        sent => put(line, sent),
    }
}

fn quoted_or_dash(line: &mut String, value: &[u8]) {
    line.push('"');
    match value {
        b"" => line.push('-'),
        value => escape::quoted(line, value),
    }
    line.push('"');
}

fn put(line: &mut String, value: impl Display) {
    write!(line, "{value}").expect("writing to a String does not fail");
}

/// Displays a duration in milliseconds with three decimals.
struct Millis(Duration);

impl Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.0.as_micros();
        write!(f, "{}.{:03}", micros / 1000, micros % 1000)
    }
}
