//! The keys of `[listen]`, `[limits]`, `[log]` and `access-log`.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::config::report::Problem;
use crate::config::value::{LOG_FORMATS, LOG_LEVELS, LogOptions, TomlValue, read_listen};
use crate::proxy::{AccessLogFormat, AccessLogOptions, AccessLogTarget};
use crate::server::{Limits, ProxyProtocol};

use super::codec::{Codec, boolean, count, duration, head_size, text};
use super::field::{Field, field};

const ACCESS_LOG_FORMATS: [(&str, AccessLogFormat); 3] = [
    ("json", AccessLogFormat::Json),
    ("common", AccessLogFormat::Common),
    ("combined", AccessLogFormat::Combined),
];

const PROXY_PROTOCOLS: [(&str, ProxyProtocol); 2] = [
    ("required", ProxyProtocol::Required),
    ("optional", ProxyProtocol::Optional),
];

pub(crate) fn limits() -> Vec<Field<Limits>> {
    vec![
        field!("handshake-timeout", handshake_timeout, duration()),
        field!("header-timeout", header_timeout, duration()),
        field!("idle-timeout", idle_timeout, duration()),
        field!("body-timeout", body_timeout, duration()),
        field!("drain-timeout", drain_timeout, duration()),
        field!("head-size", head_size, head_size()),
        field!("head-fields", head_fields, count()),
        field!("streams", streams, count()),
        field!(
            "connections-per-client",
            connections_per_client,
            count().optional()
        ),
    ]
}

pub(crate) fn log() -> Vec<Field<LogOptions>> {
    vec![
        field!("level", level, Codec::choice(&LOG_LEVELS)),
        field!("format", format, Codec::choice(&LOG_FORMATS)),
    ]
}

/// A path or a table.
pub(crate) fn access_log() -> Codec<AccessLogOptions> {
    Codec::table(access_log_table, || {
        AccessLogOptions::new(AccessLogTarget::Stdout)
    })
    .or_short(
        |value| value.is_string(),
        |value, folder| Ok(AccessLogOptions::new(read_target(value, folder)?)),
    )
}

pub(crate) fn access_log_table() -> Vec<Field<AccessLogOptions>> {
    vec![
        field!("file", target, Codec::new(read_target, text)),
        field!("format", format, Codec::choice(&ACCESS_LOG_FORMATS)),
        field!("query", query, boolean()),
    ]
}

/// Parses a path, or `-` for standard output.
pub(crate) fn parse_target(text: &str) -> Result<AccessLogTarget, Problem> {
    match text {
        "" => Err(Problem::AccessLogFile),
        "-" => Ok(AccessLogTarget::Stdout),
        path => Ok(AccessLogTarget::File(path.into())),
    }
}

fn read_target(value: &TomlValue<'_>, folder: &Path) -> Result<AccessLogTarget, Problem> {
    Ok(match parse_target(value.string()?)? {
        AccessLogTarget::Stdout => AccessLogTarget::Stdout,
        AccessLogTarget::File(path) => AccessLogTarget::File(folder.join(path)),
    })
}

/// An address to listen on, and whether its connections begin with a PROXY header.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
}

pub(crate) fn listener() -> Codec<Listener> {
    let fields = || -> Vec<Field<Listener>> {
        let address = Codec::new(|value, _| read_listen(value), text);
        let mode = Codec::choice(&PROXY_PROTOCOLS);
        vec![
            field!("address", address, address),
            field!("proxy-protocol", proxy_protocol, mode.optional()),
        ]
    };
    let at = |address| Listener {
        address,
        proxy_protocol: None,
    };
    let Codec { read, write } = Codec::table(fields, move || at((Ipv6Addr::UNSPECIFIED, 0).into()))
        .or_short(
            |value| !value.is_table(),
            move |value, _| Ok(at(read_listen(value)?)),
        );
    Codec {
        read,
        write: Box::new(move |listener| match listener.proxy_protocol {
            None => Some(text(&listener.address)),
            Some(_) => write(listener),
        }),
    }
}
