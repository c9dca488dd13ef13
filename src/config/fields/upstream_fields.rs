//! The keys of `[upstreams]`, of an entry of `upstream`, and of `health`.

use http::HeaderValue;
use http::uri::{Authority, PathAndQuery};

use crate::certs::Secret;
use crate::config::report::{BalancingProblem, Problem, Report, SHORTEST_KEY};
use crate::config::toml::TomlValue;
use crate::config::value::read_secret;
use crate::name::HostName;
use crate::upstream::{
    BackendHost, CookieKey, HeaderCase, HealthOptions, HttpVersion, IdentityFiles, Options,
    SendProxy, ServerNameSource, Share, StatusRange, TlsOptions, is_cookie_name,
};

use super::codec::{Codec, HIDDEN, boolean, count, duration, number, path, pause, size, text};
use super::field::{Field, TableReader, field, read_value, write_table};

const SEND_PROXY: [(&str, Option<SendProxy>); 3] = [
    ("off", None),
    ("v1", Some(SendProxy::V1)),
    ("v2", Some(SendProxy::V2)),
];

const HTTP_VERSION: [(&str, HttpVersion); 2] =
    [("any", HttpVersion::Any), ("1.1", HttpVersion::Http1)];

const HEADER_CASE: [(&str, HeaderCase); 2] =
    [("lower", HeaderCase::Lower), ("title", HeaderCase::Title)];

pub(crate) fn upstream_options() -> Vec<Field<Options>> {
    vec![
        field!("connect-timeout", connect_timeout, duration()),
        field!("response-timeout", response_timeout, duration().optional()),
        field!("idle-timeout", idle_timeout, duration()),
        field!("buffer-requests", buffer_requests, size().optional()),
        field!("host", http.host, Codec::text(parse_backend_host)),
        field!("http-version", http.version, Codec::choice(&HTTP_VERSION)),
        field!("header-case", http.header_case, Codec::choice(&HEADER_CASE)),
        field!("send-proxy", send_proxy, Codec::choice(&SEND_PROXY)),
        field!(
            "max-connections",
            balancing.max_connections,
            count().optional()
        ),
        field!("queue", balancing.queue, number()),
        field!("queue-timeout", balancing.queue_timeout, duration()),
        field!("max-fails", balancing.max_fails, number()),
        field!("eject-time", balancing.eject_time, duration()),
        field!("eject-status", balancing.eject_status, status().optional()),
        field!("slow-start", balancing.slow_start, pause()),
        field!("retries", balancing.retries, number()),
        field!("retry-budget", balancing.retry_percent, percent()),
        field!(
            "cookie-name",
            balancing.cookie_name,
            Codec::text(parse_cookie_name)
        ),
        field!("cookie-key", balancing.cookie_key, cookie_key().optional()),
        field!("tls", tls, tls()),
    ]
}

/// The keys of one backend except its address.
pub(crate) fn share() -> Vec<Field<Share>> {
    vec![
        field!("weight", weight, number()),
        field!("max-connections", max_connections, count().optional()),
    ]
}

pub(crate) fn health() -> Codec<Option<HealthOptions>> {
    let fields = || -> Vec<Field<HealthOptions>> {
        vec![
            field!("path", path, Codec::text(parse_path)),
            field!("expect", expect, status()),
            field!("interval", interval, duration()),
            field!("timeout", timeout, duration()),
            field!("rise", rise, count()),
            field!("fall", fall, count()),
            field!("host", host, Codec::text(parse_host).optional()),
        ]
    };
    Codec::table(fields, || HealthOptions::new(String::new()))
        .or_short(
            |value| value.is_string(),
            |value, _| Ok(HealthOptions::new(parse_path(value.string()?)?)),
        )
        .optional()
}

/// Replaces the inherited table as a whole: keys that are not set have their defaults.
fn tls() -> Codec<TlsOptions> {
    let fields = || -> Vec<Field<TlsOptions>> {
        vec![
            field!("root", root, path().optional()),
            field!("sni", sni, Codec::text(parse_sni).optional()),
            field!("insecure", is_insecure, boolean().omit(|it| !it)),
        ]
    };
    let identity = || -> Vec<Field<IdentityFiles>> {
        vec![field!("cert", cert, path()), field!("key", key, path())]
    };
    Codec {
        read: Box::new(move |value, folder, report| {
            read_value(value, folder, report, |reader, report| {
                let mut options = TlsOptions::default();
                reader.read(&fields(), &mut options, report);
                options.identity = read_identity(reader, &identity(), report);
                if options.is_insecure && options.root.is_some() {
                    report.at(value.start(), Problem::InsecureAndRoot);
                }
                options
            })
        }),
        write: Box::new(move |options| {
            let mut table = write_table(&fields(), options);
            let files = options.identity.iter();
            table.extend(files.flat_map(|files| write_table(&identity(), files)));
            (!table.is_empty()).then_some(table.into())
        }),
    }
}

/// Reads the client certificate, which needs both files.
fn read_identity(
    reader: TableReader<'_, '_>,
    fields: &[Field<IdentityFiles>],
    report: &mut Report<'_>,
) -> Option<IdentityFiles> {
    let table = reader.table;
    if !table.has("cert") && !table.has("key") {
        return None;
    }
    for (key, example) in [("cert", "\"client.pem\""), ("key", "\"client.key\"")] {
        if !table.has(key) {
            report.at(table.start(), Problem::Missing { key, example });
        }
    }
    let mut files = IdentityFiles {
        cert: Default::default(),
        key: Default::default(),
    };
    reader.read(fields, &mut files, report);
    Some(files)
}

fn status() -> Codec<StatusRange> {
    let parse = |value: &TomlValue<'_>| {
        let text = value.text()?;
        let invalid = |error| BalancingProblem::Status(text.clone(), error);
        Ok(text.parse().map_err(invalid)?)
    };
    Codec::new(move |value, _| parse(value), text)
}

fn percent() -> Codec<u16> {
    Codec::new(
        |value, _| parse_percent(value.string()?),
        |percent| format!("{percent}%").into(),
    )
}

fn parse_percent(text: &str) -> Result<u16, Problem> {
    let digits = text.strip_suffix('%').filter(|text| {
        text.len() <= 3 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    });
    let percent = digits.and_then(|digits| digits.parse().ok());
    let percent = percent.filter(|percent| *percent <= 100);
    Ok(percent.ok_or_else(|| BalancingProblem::Percent(text.to_owned()))?)
}

fn cookie_key() -> Codec<CookieKey> {
    Codec {
        read: Box::new(|value, folder, report| {
            let secret = read_secret(value, folder, report)?;
            report.accept(value.start(), parse_cookie_key(&secret))
        }),
        write: Box::new(|key| Some(key.source().unwrap_or(HIDDEN).into())),
    }
}

fn parse_cookie_key(secret: &Secret) -> Result<CookieKey, Problem> {
    let (source, key) = (secret.reference(), secret.expose());
    if key.len() < SHORTEST_KEY {
        return Err(BalancingProblem::ShortKey(key.len()).into());
    }
    Ok(CookieKey::new(source.map(str::to_owned), key.into()))
}

fn parse_cookie_name(text: &str) -> Result<String, Problem> {
    valid(text, is_cookie_name(text), BalancingProblem::CookieName)
}

fn parse_path(text: &str) -> Result<String, Problem> {
    let is_path =
        text.starts_with('/') && !text.contains('#') && text.parse::<PathAndQuery>().is_ok();
    valid(text, is_path, BalancingProblem::HealthPath)
}

fn parse_host(text: &str) -> Result<String, Problem> {
    let is_host = !text.contains('@') && text.parse::<Authority>().is_ok();
    valid(text, is_host, BalancingProblem::HealthHost)
}

/// Returns the text, or the problem with it if it is not valid.
fn valid(
    text: &str,
    is_valid: bool,
    problem: fn(String) -> BalancingProblem,
) -> Result<String, Problem> {
    let text = text.to_owned();
    if is_valid {
        Ok(text)
    } else {
        Err(problem(text).into())
    }
}

fn parse_backend_host(text: &str) -> Result<BackendHost, Problem> {
    match text {
        "client" => Ok(BackendHost::Client),
        "upstream" => Ok(BackendHost::Upstream),
        name => {
            let invalid = || BalancingProblem::BackendHost(name.to_owned());
            let is_valid = !name.contains('@') && name.parse::<Authority>().is_ok();
            let value = is_valid.then(|| HeaderValue::from_str(name).ok()).flatten();
            Ok(BackendHost::Name(value.ok_or_else(invalid)?))
        }
    }
}

fn parse_sni(text: &str) -> Result<ServerNameSource, Problem> {
    if text == "{host}" {
        return Ok(ServerNameSource::ClientHost);
    }
    let name = HostName::parse(text);
    name.map(ServerNameSource::Name)
        .map_err(|error| Problem::Sni {
            name: text.to_owned(),
            error,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_key_keeps_its_reference() {
        let key = |secret| parse_cookie_key(&secret).unwrap();
        let referred = || Secret::referred("file:/key", "0123456789abcdef");
        assert_eq!(key(referred()).source(), Some("file:/key"));
        assert_eq!(key(referred()), key(referred()));
        let literal = key(Secret::new("0123456789abcdef"));
        assert_eq!(literal.source(), None);
    }
}
