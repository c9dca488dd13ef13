//! `redirect`: where clients are sent.

use toml::de::DeValue;

use crate::proxy::{PathPrefix, Redirect, RedirectOptions};

use super::diagnostic::Report;
use super::problem::Problem;
use super::table::Value;
use super::units::parse_status;

/// Reads a target, or a table that says more.
pub(super) fn read(
    value: Value<'_>,
    prefix: &PathPrefix,
    report: &mut Report<'_>,
) -> Option<Redirect> {
    let options = match value.node() {
        DeValue::String(to) => RedirectOptions::new(to),
        DeValue::Table(_) => read_options(value, report)?,
        _ => {
            let expected = "a URL such as `\"https://www.example.org\"`, a path or a table";
            report.at(value.start(), value.mismatch(expected));
            return None;
        }
    };
    match Redirect::new(&options, prefix) {
        Ok(redirect) => Some(redirect),
        Err(error) => {
            report.at(value.start(), Problem::Redirect(error));
            None
        }
    }
}

fn read_options(value: Value<'_>, report: &mut Report<'_>) -> Option<RedirectOptions> {
    let mut table = value.table().ok()?;
    let example = ("to", "redirect = { to = \"https://www.example.org\" }");
    let to = table.require(example, report, Value::string);
    let status = table.read("status", report, parse_status);
    let append = table.read("append", report, Value::boolean);
    table.finish(report);
    let default = RedirectOptions::new(to?);
    Some(RedirectOptions {
        status: status.unwrap_or(default.status),
        append: append.unwrap_or(default.append),
        ..default
    })
}
