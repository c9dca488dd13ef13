//! `access-log`: where the lines of requests go, and in which form.

use std::path::Path;

use toml::de::DeValue;

use crate::config::report::{Problem, Report};
use crate::config::value::{TomlTable, TomlValue};
use crate::proxy::{AccessLogFormat, AccessLogOptions, AccessLogTarget};

/// Reads the key `access-log` of the whole file: a path, or a table. Where it has mistakes, something stands for it, so
/// that sites are not told that there is none.
pub(crate) fn read(
    table: &mut TomlTable<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<AccessLogOptions> {
    let value = table.value("access-log")?;
    let options = match value.node() {
        DeValue::String(path) => match parse_target(path) {
            Ok(target) => Some(AccessLogOptions::new(within(target, folder))),
            Err(problem) => {
                report.at(value.start(), problem);
                None
            }
        },
        DeValue::Table(_) => {
            (value.table().ok()).and_then(|table| read_table(table, folder, report))
        }
        _ => {
            let expected = "a file, as in `\"access.log\"`, `\"-\"` or a table";
            report.at(value.start(), value.mismatch(expected));
            None
        }
    };
    Some(options.unwrap_or_else(|| AccessLogOptions::new(AccessLogTarget::Stdout)))
}

fn read_table(
    mut section: TomlTable<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<AccessLogOptions> {
    let key = ("file", "access-log = { file = \"access.log\" }");
    let target = section.require(key, report, |value| parse_target(value.string()?));
    let format = section.read("format", report, |value| parse_format(value.string()?));
    let query = section.read("query", report, TomlValue::boolean);
    section.finish(report);
    let mut options = AccessLogOptions::new(within(target?, folder));
    options.format = format.unwrap_or(options.format);
    options.query = query.unwrap_or(options.query);
    Some(options)
}

/// Parses a path, or `-` for standard output.
pub(crate) fn parse_target(text: &str) -> Result<AccessLogTarget, Problem> {
    match text {
        "" => Err(Problem::AccessLogFile),
        "-" => Ok(AccessLogTarget::Stdout),
        path => Ok(AccessLogTarget::File(path.into())),
    }
}

fn parse_format(text: &str) -> Result<AccessLogFormat, Problem> {
    match text {
        "json" => Ok(AccessLogFormat::Json),
        "common" => Ok(AccessLogFormat::Common),
        "combined" => Ok(AccessLogFormat::Combined),
        _ => Err(Problem::AccessLogFormat(text.to_owned())),
    }
}

fn within(target: AccessLogTarget, folder: &Path) -> AccessLogTarget {
    match target {
        AccessLogTarget::Stdout => AccessLogTarget::Stdout,
        AccessLogTarget::File(path) => AccessLogTarget::File(folder.join(path)),
    }
}
