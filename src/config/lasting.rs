//! What can only be set at a start.

use super::diagnostic::{Place, Report};
use super::problem::Problem;
use super::settings::Config;
use super::table::Table;

/// Notes each setting that differs from what the proxy runs with and would not come into effect.
pub(super) fn check(
    table: &Table<'_>,
    (config, running): (&Config, &Config),
    report: &mut Report<'_>,
) {
    let format = (config.log.format, running.log.format);
    for (key, has_changed) in [
        ("storage", config.storage != running.storage),
        ("admin", config.admin_path() != running.admin_path()),
        ("log.format", format.0 != format.1),
    ] {
        if has_changed {
            note(key, table, report);
        }
    }
}

fn note(key: &'static str, table: &Table<'_>, report: &mut Report<'_>) {
    let place = match key.split_once('.') {
        None => table.peek(key),
        Some((section, key)) => {
            let section = table.peek(section).and_then(|value| value.table().ok());
            section.and_then(|section| section.peek(key))
        }
    };
    match place {
        Some(value) => report.at(value.start(), Problem::Lasting(key)),
        None => {
            let path = report.path().to_owned();
            report.add(Place::WholeFile(path), Problem::LastingGone(key));
        }
    }
}
