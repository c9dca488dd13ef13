//! The keys of `tracing`.

use std::path::Path;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::codec::{Codec, HIDDEN, path, string, text};
use super::field::{Field, field};
use crate::config::report::{Problem, Report, TracingProblem};
use crate::config::toml::TomlValue;
use crate::config::value::{OtelVariables, parse_collector, read_secret};
use crate::proxy::HeaderChangeError;
use crate::traces::{CollectorHeader, TraceOptions};

/// `true` or `false`, the URL of a collector, or a table. Where the file names no collector, the standard variables do.
pub(crate) fn tracing() -> Codec<Option<TraceOptions>> {
    let Codec { read, write } = Codec::table(tracing_table, unset).optional();
    let read = move |value: &TomlValue<'_>, folder: &Path, report: &mut Report<'_>| {
        let start = value.start();
        if value.is_boolean() {
            if !report.accept(start, value.boolean())? {
                return Some(None);
            }
            let options = OtelVariables::of_process().complete(unset(), |_| false);
            return report.accept(start, options).map(Some);
        }
        if value.is_string() {
            let endpoint = value.string().and_then(parse_collector);
            let options = endpoint.map(TraceOptions::new);
            return report.accept(start, options).map(Some);
        }
        let options = read(value, folder, report)??;
        let table = report.accept(start, value.table())?;
        if table.has("endpoint") {
            return Some(Some(options));
        }
        let options = OtelVariables::of_process().complete(options, |key| table.has(key));
        report.accept(start, options).map(Some)
    };
    Codec {
        read: Box::new(read),
        write,
    }
}

/// Options whose endpoint is set later.
fn unset() -> TraceOptions {
    TraceOptions::new(Url::parse("http://localhost:4318").expect("a valid URL"))
}

fn tracing_table() -> Vec<Field<TraceOptions>> {
    let sample = Codec::new(
        |value, _| value.fraction(),
        |sample: &f64| toml::Value::Float(*sample),
    );
    let service = string().checked(|name| {
        let is_empty = name.trim().is_empty();
        is_empty.then(|| TracingProblem::NoServiceName.into())
    });
    vec![
        field!("endpoint", endpoint, Codec::text(parse_collector)),
        field!("root", root, path().optional()),
        field!("sample", sample, sample),
        field!("headers", headers, headers()),
        field!("service-name", service_name, service),
    ]
}

/// Header fields for the collector. Their values are secrets.
fn headers() -> Codec<Vec<CollectorHeader>> {
    Codec {
        read: Box::new(|value, folder, report| {
            let table = report.accept(value.start(), value.table())?;
            let mut headers = Vec::new();
            for (name, start, value) in table.entries() {
                let name = HeaderName::try_from(name)
                    .map_err(|_| Problem::from(HeaderChangeError::Name(name.to_owned())));
                let name = report.accept(start, name);
                let secret = read_header(&value, folder, report);
                let (Some(name), Some((value, reference))) = (name, secret) else {
                    continue;
                };
                headers.push(CollectorHeader::new(name, value, reference));
            }
            Some(headers)
        }),
        write: Box::new(|headers| {
            let shown = |header: &CollectorHeader| text(header.reference().unwrap_or(HIDDEN));
            let entries = headers.iter();
            let entries = entries.map(|header| (header.name.to_string(), shown(header)));
            let table: toml::Table = entries.collect();
            (!table.is_empty()).then(|| table.into())
        }),
    }
}

/// Reads the value of a header field, and the reference to it.
fn read_header(
    value: &TomlValue<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<(HeaderValue, Option<String>)> {
    let secret = read_secret(value, folder, report)?;
    let parsed = HeaderValue::from_str(secret.expose());
    let parsed = parsed.map_err(|_| {
        let key = value.key().to_owned();
        Problem::from(TracingProblem::HeaderValue(key))
    });
    let parsed = report.accept(value.start(), parsed)?;
    Some((parsed, secret.reference().map(str::to_owned)))
}
