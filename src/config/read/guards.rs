//! Reads the access control of a site and checks it against the settings of all sites.

use crate::config::fields::{self, TableReader};
use crate::config::model::Config;
use crate::config::report::{GuardProblem, Problem, Report};
use crate::config::value::format_size;
use crate::proxy::GuardOptions;

/// Reads the guards of a site. Returns `None` if it has none.
pub(crate) fn read(
    reader: TableReader<'_, '_>,
    config: &Config,
    report: &mut Report<'_>,
) -> Option<Box<GuardOptions>> {
    let mut guards = GuardOptions::default();
    reader.read(&fields::guards(), &mut guards, report);
    if let Some(forward) = &guards.forward_auth
        && config.listens_on(&forward.address)
    {
        let problem = Problem::OwnAddress(forward.address.clone());
        report.at(start_of(reader, ["forward-auth", "url"]), problem);
    }
    let limits = &config.limits;
    let size = format!("`{}`", format_size(limits.head_size));
    let fields = limits.head_fields.to_string();
    let has_wider_size = guards.head_size > Some(limits.head_size);
    let has_wider_fields = guards.head_fields > Some(limits.head_fields);
    for (key, is_wider, limit) in [
        ("head-size", has_wider_size, size),
        ("head-fields", has_wider_fields, fields),
    ] {
        if is_wider {
            let problem = GuardProblem::Wider { key, limit };
            report.at(start_of(reader, ["limits", key]), problem.into());
        }
    }
    (guards != GuardOptions::default()).then(|| Box::new(guards))
}

/// Returns the offset of the value of a key in an inner table.
fn start_of(reader: TableReader<'_, '_>, [table, key]: [&str; 2]) -> usize {
    let table = reader
        .table
        .value(table)
        .and_then(|value| value.table().ok());
    let value = table.and_then(|table| table.value(key));
    value.map_or(0, |value| value.start())
}
