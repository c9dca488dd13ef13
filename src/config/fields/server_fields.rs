//! The keys of `[limits]`, `[log]` and `access-log`, and lists at the top of the file.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::config::report::Problem;
use crate::config::value::{LOG_FORMATS, LOG_LEVELS, LogOptions, read_listen};
use crate::proxy::{AccessLogFormat, AccessLogOptions, AccessLogTarget};
use crate::server::{Limits, ProxyProtocol};

use super::codec::{Codec, boolean, count, duration, head_size};
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

/// A path, or a table.
pub(crate) fn access_log() -> Codec<AccessLogOptions> {
    Codec::table(access_log_table, || {
        AccessLogOptions::new(AccessLogTarget::Stdout)
    })
    .or_short(
        |value| value.is_string(),
        |value, folder| {
            Ok(AccessLogOptions::new(within(
                parse_target(value.string()?)?,
                folder,
            )))
        },
    )
}

pub(crate) fn access_log_table() -> Vec<Field<AccessLogOptions>> {
    let target = Codec::new(
        |value, folder| Ok(within(parse_target(value.string()?)?, folder)),
        |target: &AccessLogTarget| target.to_string().into(),
    );
    vec![
        field!("file", target, target),
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

fn within(target: AccessLogTarget, folder: &Path) -> AccessLogTarget {
    match target {
        AccessLogTarget::Stdout => AccessLogTarget::Stdout,
        AccessLogTarget::File(path) => AccessLogTarget::File(folder.join(path)),
    }
}

/// An address to listen on, and how its clients begin.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
}

pub(crate) fn listener() -> Codec<Listener> {
    let fields = || -> Vec<Field<Listener>> {
        let address = Codec::new(
            |value, _| read_listen(value),
            |address| address.to_string().into(),
        );
        let mode = Codec::choice(&PROXY_PROTOCOLS);
        vec![
            field!("address", address, address),
            field!("proxy-protocol", proxy_protocol, mode.optional()),
        ]
    };
    let of = |address| Listener {
        address,
        proxy_protocol: None,
    };
    let Codec { read, write } = Codec::table(fields, move || of((Ipv6Addr::UNSPECIFIED, 0).into()))
        .or_short(
            |value| !value.is_table(),
            move |value, _| Ok(of(read_listen(value)?)),
        );
    Codec {
        read,
        write: Box::new(move |listener| match listener.proxy_protocol {
            None => Some(listener.address.to_string().into()),
            Some(_) => write(listener),
        }),
    }
}
