//! `redirect`: where clients are sent.

use std::path::Path;

use toml::de::DeValue;

use crate::config::report::{Problem, Report};
use crate::config::value::{TomlValue, parse_status};
use crate::proxy::{Files, FixedResponse, PathPrefix, Redirect, RedirectOptions};

/// Reads a target, or a table that says more.
pub(crate) fn read_redirect(
    value: TomlValue<'_>,
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

fn read_options(value: TomlValue<'_>, report: &mut Report<'_>) -> Option<RedirectOptions> {
    let mut table = value.table().ok()?;
    let example = ("to", "redirect = { to = \"https://www.example.org\" }");
    let to = table.require(example, report, TomlValue::string);
    let status = table.read("status", report, parse_status);
    let append = table.read("append", report, TomlValue::boolean);
    table.finish(report);
    let default = RedirectOptions::new(to?);
    Some(RedirectOptions {
        status: status.unwrap_or(default.status),
        append: append.unwrap_or(default.append),
        ..default
    })
}

const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// Reads `{ status = 404, body = "…", content-type = "…" }`.
pub(crate) fn read_fixed(value: TomlValue<'_>, report: &mut Report<'_>) -> Option<FixedResponse> {
    let mut table = match value.table() {
        Ok(table) => table,
        Err(problem) => {
            report.at(value.start(), problem);
            return None;
        }
    };
    let status = table.read("status", report, parse_status);
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
    match value.node() {
        DeValue::String(root) => Some(Files::new(folder.join(root.as_ref()), None)),
        DeValue::Table(_) => {
            let mut table = value.table().ok()?;
            let example = ("root", "files = { root = \"/srv/www\" }");
            let root = table.require(example, report, TomlValue::string);
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

fn parse_fallback(value: &TomlValue<'_>) -> Result<String, Problem> {
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
