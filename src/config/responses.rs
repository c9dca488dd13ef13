//! `respond` and `files`: what the proxy answers itself.

use std::path::Path;

use toml::de::DeValue;

use crate::proxy::{Files, FixedResponse};

use super::diagnostic::Report;
use super::problem::Problem;
use super::table::Value;
use super::units::parse_status;

const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// Reads `{ status = 404, body = "…", content-type = "…" }`.
pub(super) fn read_fixed(value: Value<'_>, report: &mut Report<'_>) -> Option<FixedResponse> {
    let mut table = match value.table() {
        Ok(table) => table,
        Err(problem) => {
            report.at(value.start(), problem);
            return None;
        }
    };
    let status = table.read("status", report, parse_status);
    let body = table.read("body", report, Value::string);
    let content_type = table.read("content-type", report, Value::string);
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
pub(super) fn read_files(
    value: Value<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<Files> {
    match value.node() {
        DeValue::String(root) => Some(Files::new(folder.join(root.as_ref()), None)),
        DeValue::Table(_) => {
            let mut table = value.table().ok()?;
            let example = ("root", "files = { root = \"/srv/www\" }");
            let root = table.require(example, report, Value::string);
            let fallback = table.read("fallback", report, parse_fallback);
            table.finish(report);
            Some(Files::new(folder.join(root?), fallback))
        }
        _ => {
            let expected = "a folder, as in `\"/srv/www\"`, or a table";
            report.at(value.start(), value.mismatch(expected));
            None
        }
    }
}

fn parse_fallback(value: &Value<'_>) -> Result<String, Problem> {
    let text = value.string()?;
    let is_below = !text.is_empty()
        && text
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."));
    match is_below {
        true => Ok(text.to_owned()),
        false => Err(Problem::Fallback(text.to_owned())),
    }
}
