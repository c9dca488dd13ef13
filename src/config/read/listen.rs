//! Reads `[listen]`: the addresses to listen on, their names and their use of the PROXY protocol.

use std::path::Path;

use crate::config::fields::{self, TableReader};
use crate::config::model::Config;
use crate::config::report::{ListenerProblem, Problem, Report};
use crate::config::toml::TomlValue;
use crate::server::ListenerOptions;

/// Reads `[listen]`. Must follow `trust`, which lists the peers whose PROXY headers are accepted.
pub(crate) fn read(reader: TableReader<'_, '_>, config: &mut Config, report: &mut Report<'_>) {
    reader.read_inner("listen", report, |inner, report| {
        read_table(inner, config, report)
    });
}

fn read_table(reader: TableReader<'_, '_>, config: &mut Config, report: &mut Report<'_>) {
    let has_trust = !config.trust.is_empty();
    let listen = &mut config.listen;
    for (key, slot, example) in [
        ("http", &mut listen.http, "[::]:80"),
        ("https", &mut listen.https, "[::]:443"),
    ] {
        let Some(value) = reader.table.read(key, report, |value| Ok(*value)) else {
            continue;
        };
        let values = value.elements();
        if values.is_empty() {
            let key = key.to_owned();
            let problem = ListenerProblem::NoAddress { key, example };
            report.at(value.start(), problem.into());
        }
        let listeners = values.iter();
        let listeners: Vec<_> = listeners
            .filter_map(|value| read_listener(value, reader.folder, has_trust, report))
            .collect();
        if !listeners.is_empty() {
            *slot = listeners;
        }
    }
}

fn read_listener(
    value: &TomlValue<'_>,
    folder: &Path,
    has_trust: bool,
    report: &mut Report<'_>,
) -> Option<ListenerOptions> {
    let listener = (fields::listener().read)(value, folder, report)?;
    if listener.proxy_protocol.is_some() && !has_trust {
        let table = value.table().ok();
        let mode = table.and_then(|table| table.value("proxy-protocol"));
        let start = mode.map_or(0, |mode| mode.start());
        report.at(start, Problem::ProxyProtocolWithoutTrust);
    }
    Some(listener)
}
