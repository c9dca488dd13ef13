//! The addresses to listen on, and how their clients begin.

use crate::config::fields::{self, Listener, TableReader};
use crate::config::model::Config;
use crate::config::report::{Problem, Report};
use crate::config::value::TomlValue;

/// Reads `[listen]`. Comes after `trust`, which says who may begin with a PROXY header.
pub(crate) fn read(reader: TableReader<'_, '_>, config: &mut Config, report: &mut Report<'_>) {
    let Some(table) = reader.table.read("listen", report, TomlValue::table) else {
        return;
    };
    let reader = TableReader {
        table: &table,
        ..reader
    };
    let listen = &mut config.listen;
    let slots = [
        ("http", &mut listen.http, &mut listen.http_proxy_protocol),
        ("https", &mut listen.https, &mut listen.https_proxy_protocol),
    ];
    for (key, address, mode) in slots {
        let Some(listener) = reader.read_key(key, fields::listener(), report) else {
            continue;
        };
        if listener.proxy_protocol.is_some() && config.trust.is_empty() {
            let table = table.value(key).and_then(|value| value.table().ok());
            let value = table.and_then(|table| table.value("proxy-protocol"));
            let start = value.map_or(0, |value| value.start());
            report.at(start, Problem::ProxyProtocolWithoutTrust);
        }
        Listener {
            address: *address,
            proxy_protocol: *mode,
        } = listener;
    }
    table.finish(report);
}
