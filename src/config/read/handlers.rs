//! Reads the actions that the proxy answers itself: `redirect`, `respond` and `files`.

use std::path::Path;

use crate::config::fields::{self, TableReader, read_path, read_value};
use crate::config::report::{Problem, Report};
use crate::config::toml::TomlValue;
use crate::config::value::read_status;
use crate::proxy::{Files, FixedResponse, PathPrefix, Redirect, RedirectOptions};

/// Reads a target or a table.
pub(crate) fn read_redirect(
    value: TomlValue<'_>,
    prefix: &PathPrefix,
    report: &mut Report<'_>,
) -> Option<Redirect> {
    let options = if value.is_table() {
        read_value(&value, Path::new(""), report, |reader, report| {
            let mut options = RedirectOptions::new("");
            let is_valid = reader.read(&fields::redirect(), &mut options, report);
            is_valid.then_some(options)
        })??
    } else {
        RedirectOptions::new(report.accept(value.start(), value.string())?)
    };
    report.accept(value.start(), Redirect::new(&options, prefix))
}

const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// Reads a status, or `{ status = 404, body = "…", content-type = "…" }`.
pub(crate) fn read_fixed(value: TomlValue<'_>, report: &mut Report<'_>) -> Option<FixedResponse> {
    if !value.is_table() {
        let status = report.accept(value.start(), read_status(&value))?;
        return report.accept(value.start(), FixedResponse::new(status, "", CONTENT_TYPE));
    }
    let table = report.accept(value.start(), value.table())?;
    let status = table.read("status", report, read_status);
    let body = table.read("body", report, TomlValue::string);
    let content_type = table.read("content-type", report, TomlValue::string);
    table.finish(report);
    let fixed = FixedResponse::new(
        status.unwrap_or(200),
        body.unwrap_or_default(),
        content_type.unwrap_or(CONTENT_TYPE),
    );
    report.accept(value.start(), fixed)
}

/// Reads a folder, or `{ root = "…", fallback = "index.html" }`.
pub(crate) fn read_files(
    value: TomlValue<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<Files> {
    if !value.is_table() {
        let root = read_path(&value, folder, report)?;
        return Some(Files::new(root, None));
    }
    let table = &value.table().ok()?;
    let root = TableReader { table, folder }.read_key("root", fields::path(), report);
    let fallback = table.read("fallback", report, parse_fallback);
    table.finish(report);
    Some(Files::new(root?, fallback))
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
