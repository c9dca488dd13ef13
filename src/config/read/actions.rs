//! The actions of the proxy itself: `redirect`, `respond` and `files`.

use std::path::Path;

use crate::config::fields::{self, TableReader};
use crate::config::report::{Problem, Report};
use crate::config::value::{TomlTable, TomlValue};
use crate::proxy::{Files, FixedResponse, PathPrefix, Redirect, RedirectOptions};

/// Reads a target, or a table that says more.
pub(crate) fn read_redirect(
    value: TomlValue<'_>,
    prefix: &PathPrefix,
    report: &mut Report<'_>,
) -> Option<Redirect> {
    let options = match value.table() {
        Ok(table) => read_redirect_table(&table, report)?,
        Err(_) => match value.string() {
            Ok(to) => RedirectOptions::new(to),
            Err(problem) => {
                report.at(value.start(), problem);
                return None;
            }
        },
    };
    match Redirect::new(&options, prefix) {
        Ok(redirect) => Some(redirect),
        Err(error) => {
            report.at(value.start(), Problem::Redirect(error));
            None
        }
    }
}

fn read_redirect_table(table: &TomlTable<'_>, report: &mut Report<'_>) -> Option<RedirectOptions> {
    let mut options = RedirectOptions::new("");
    let reader = TableReader {
        table,
        folder: "".as_ref(),
    };
    let is_right = reader.read(&fields::redirect(), &mut options, report);
    table.finish(report);
    is_right.then_some(options)
}

const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// Reads `{ status = 404, body = "…", content-type = "…" }`.
pub(crate) fn read_fixed(value: TomlValue<'_>, report: &mut Report<'_>) -> Option<FixedResponse> {
    let table = match value.table() {
        Ok(table) => table,
        Err(problem) => {
            report.at(value.start(), problem);
            return None;
        }
    };
    let status = table.read("status", report, read_status);
    let body = table.read("body", report, TomlValue::string);
    let content_type = table.read("content-type", report, TomlValue::string);
    table.finish(report);
    let fixed = FixedResponse::new(
        status.unwrap_or(200),
        body.unwrap_or_default(),
        content_type.unwrap_or(CONTENT_TYPE),
    );
    match fixed {
        Ok(fixed) => Some(fixed),
        Err(error) => {
            report.at(value.start(), error.into());
            None
        }
    }
}

/// Reads a folder, or `{ root = "…", fallback = "index.html" }`.
pub(crate) fn read_files(
    value: TomlValue<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<Files> {
    let table = match value.table() {
        Ok(table) => table,
        Err(_) => match value.string() {
            Ok(root) => return Some(Files::new(folder.join(root), None)),
            Err(problem) => {
                report.at(value.start(), problem);
                return None;
            }
        },
    };
    let root = table.read("root", report, TomlValue::string);
    let fallback = table.read("fallback", report, parse_fallback);
    table.finish(report);
    Some(Files::new(folder.join(root?), fallback))
}

/// Reads a status, whatever it means.
fn read_status(value: &TomlValue<'_>) -> Result<u16, Problem> {
    let text = value.text()?;
    text.parse().map_err(|_| Problem::Status(text))
}

fn parse_fallback(value: &TomlValue<'_>) -> Result<String, Problem> {
    let text = value.string()?;
    let is_below = !text.is_empty()
        && text
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."));
    if is_below {
        Ok(text.to_owned())
    } else {
        Err(Problem::Fallback(text.to_owned()))
    }
}
