//! The addresses to listen on, and what their clients begin with.

use std::net::SocketAddr;

use toml::de::DeValue;

use crate::server::ProxyProtocol;

use super::diagnostic::Report;
use super::origin::Origin;
use super::problem::Problem;
use super::settings::{Config, parse_listen, parse_own_listen};
use super::table::{Table, Value};

/// Reads `[listen]`. Comes after `trust`, which says who may begin with a PROXY header.
pub(super) fn read(table: &mut Table<'_>, config: &mut Config, report: &mut Report<'_>) {
    let Some(mut table) = table.read("listen", report, Value::table) else {
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
            _ => parse_address(&value)
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
    mut table: Table<'_>,
    (mode, has_trust): (&mut Option<ProxyProtocol>, bool),
    report: &mut Report<'_>,
) -> Option<SocketAddr> {
    let key = ("address", "address = \"[::]:443\"");
    let address = table.require(key, report, parse_address);
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

pub(super) fn parse_address(value: &Value<'_>) -> Result<SocketAddr, Problem> {
    parse_listen(&value.text("an address, as in `\"[::]:443\"`")?)
}

/// The same where a port alone is one of this machine's own.
pub(super) fn parse_own_address(value: &Value<'_>) -> Result<SocketAddr, Problem> {
    parse_own_listen(&value.text("an address, as in `\"127.0.0.1:9100\"`")?)
}

fn parse_mode(text: &str) -> Result<ProxyProtocol, Problem> {
    match text {
        "required" => Ok(ProxyProtocol::Required),
        "optional" => Ok(ProxyProtocol::Optional),
        _ => Err(Problem::ProxyProtocol(text.to_owned())),
    }
}
