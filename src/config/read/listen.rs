//! Reads `[listen]`: the addresses to listen on and their use of the PROXY protocol.

use crate::config::fields::{self, Listener, TableReader};
use crate::config::model::Config;
use crate::config::report::{Problem, Report};

/// Reads `[listen]`. Must follow `trust`, which lists the peers whose PROXY headers are accepted.
pub(crate) fn read(reader: TableReader<'_, '_>, config: &mut Config, report: &mut Report<'_>) {
    reader.read_inner("listen", report, |inner, report| {
        read_table(inner, config, report)
    });
}

fn read_table(reader: TableReader<'_, '_>, config: &mut Config, report: &mut Report<'_>) {
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
            let table = reader.table.value(key).and_then(|value| value.table().ok());
            let value = table.and_then(|table| table.value("proxy-protocol"));
            let start = value.map_or(0, |value| value.start());
            report.at(start, Problem::ProxyProtocolWithoutTrust);
        }
        Listener {
            address: *address,
            proxy_protocol: *mode,
        } = listener;
    }
}
