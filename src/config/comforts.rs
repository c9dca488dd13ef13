//! What a site adds to its requests: the same keys for all sites at the top of the file, and for one within it.

use crate::proxy::ComfortOptions;

use super::diagnostic::Report;
use super::problem::Problem;
use super::table::{Table, Value};

/// Reads the comforts of all sites.
pub(super) fn read_shared(table: &mut Table<'_>, report: &mut Report<'_>) -> ComfortOptions {
    let mut comforts = ComfortOptions::default();
    read_common(table, &mut comforts, report);
    comforts
}

/// Reads those of one site, which has `shared` where it says nothing else.
pub(super) fn read_site(
    table: &mut Table<'_>,
    (shared, has_access_log): (&ComfortOptions, bool),
    report: &mut Report<'_>,
) -> ComfortOptions {
    let mut comforts = shared.clone();
    let is_logged = table.read("access-log", report, |value| match value.boolean()? {
        true if !has_access_log => Err(Problem::NoAccessLog),
        is_logged => Ok(is_logged),
    });
    comforts.access_log = is_logged.unwrap_or(comforts.access_log);
    read_common(table, &mut comforts, report);
    comforts
}

fn read_common(table: &mut Table<'_>, comforts: &mut ComfortOptions, report: &mut Report<'_>) {
    if let Some(request_id) = table.read("request-id", report, Value::boolean) {
        comforts.request_id = request_id;
    }
}
