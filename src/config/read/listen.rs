//! The addresses to listen on, and what their clients begin with.

use std::net::SocketAddr;

use toml::de::DeValue;

use crate::config::model::Config;
use crate::config::report::{Origin, Problem, Report};
use crate::config::value::{TomlTable, TomlValue, parse_peer, read_listen};
use crate::server::ProxyProtocol;

/// Reads `[listen]`. Comes after `trust`, which says who may begin with a PROXY header.
pub(crate) fn read(table: &mut TomlTable<'_>, config: &mut Config, report: &mut Report<'_>) {
    let Some(mut table) = table.read("listen", report, TomlValue::table) else {
        return;
    };
    let has_trust = !config.trust.is_empty();
    let listen = &mut config.listen;
    for (key, name, address, mode) in [
        (
            "http",
            "listen.http",
            &mut listen.http,
            &mut listen.http_proxy_protocol,
        ),
        (
            "https",
            "listen.https",
            &mut listen.https,
            &mut listen.https_proxy_protocol,
        ),
    ] {
        let Some(value) = table.value(key) else {
            continue;
        };
        let read = match value.node() {
            DeValue::Table(_) => value
                .table()
                .ok()
                .and_then(|table| read_table(table, (&mut *mode, has_trust), report)),
            _ => read_listen(&value)
                .map_err(|problem| report.at(value.start(), problem))
                .ok(),
        };
        if let Some(read) = read {
            *address = read;
            config.origins.set(name, Origin::File);
        }
    }
    table.finish(report);
}

fn read_table(
    mut table: TomlTable<'_>,
    (mode, has_trust): (&mut Option<ProxyProtocol>, bool),
    report: &mut Report<'_>,
) -> Option<SocketAddr> {
    let key = ("address", "address = \"[::]:443\"");
    let address = table.require(key, report, read_listen);
    *mode = table.read("proxy-protocol", report, |value| {
        let mode = parse_mode(value.string()?)?;
        match has_trust {
            true => Ok(mode),
            false => Err(Problem::ProxyProtocolWithoutTrust),
        }
    });
    table.finish(report);
    address
}

fn parse_mode(text: &str) -> Result<ProxyProtocol, Problem> {
    match text {
        "required" => Ok(ProxyProtocol::Required),
        "optional" => Ok(ProxyProtocol::Optional),
        _ => Err(Problem::ProxyProtocol(text.to_owned())),
    }
}

/// Reads `trust` and `forwarded`.
pub(crate) fn read_trust(table: &mut TomlTable<'_>, config: &mut Config, report: &mut Report<'_>) {
    let expected = "a list of networks, as in `[\"10.0.0.0/8\", \"cloudflare\"]`";
    let list = table.read("trust", report, |value| value.list(expected));
    for value in list.into_iter().flatten() {
        config.origins.set("trust", Origin::File);
        match value.string().and_then(parse_peer) {
            Ok(peer) => config.trust.push(peer),
            Err(problem) => report.at(value.start(), problem),
        }
    }
    if let Some(forwarded) = table.read("forwarded", report, TomlValue::boolean) {
        config.forwarded = forwarded;
        config.origins.set("forwarded", Origin::File);
    }
}
