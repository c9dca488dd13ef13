//! The keys of `[log]` and `access-log`.

use std::path::Path;

use crate::config::report::Problem;
use crate::config::toml::TomlValue;
use crate::config::value::{LOG_FORMATS, LOG_LEVELS, LogOptions};
use crate::proxy::{AccessLogFormat, AccessLogOptions, AccessLogTarget};

use super::codec::{Codec, boolean, text};
use super::field::{Field, field};

const ACCESS_LOG_FORMATS: [(&str, AccessLogFormat); 3] = [
    ("json", AccessLogFormat::Json),
    ("common", AccessLogFormat::Common),
    ("combined", AccessLogFormat::Combined),
];

pub(crate) fn log() -> Vec<Field<LogOptions>> {
    vec![
        field!("level", level, Codec::choice(&LOG_LEVELS)),
        field!("format", format, Codec::choice(&LOG_FORMATS)),
    ]
}

/// A path or a table.
pub(crate) fn access_log() -> Codec<AccessLogOptions> {
    Codec::table(access_log_table, || {
        AccessLogOptions::new(AccessLogTarget::Stdout)
    })
    .or_short(
        |value| value.is_string(),
        |value, folder| Ok(AccessLogOptions::new(read_target(value, folder)?)),
    )
}

pub(crate) fn access_log_table() -> Vec<Field<AccessLogOptions>> {
    vec![
        field!("file", target, Codec::new(read_target, text)),
        field!("format", format, Codec::choice(&ACCESS_LOG_FORMATS)),
        field!("query", query, boolean()),
    ]
}

/// Parses a path, or `-` for standard output.
pub(crate) fn parse_target(text: &str) -> Result<AccessLogTarget, Problem> {
    match text {
        "" => Err(Problem::AccessLogFile),
        "-" => Ok(AccessLogTarget::Stdout),
        path => Ok(AccessLogTarget::File(path.into())),
    }
}

fn read_target(value: &TomlValue<'_>, folder: &Path) -> Result<AccessLogTarget, Problem> {
    Ok(match parse_target(value.string()?)? {
        AccessLogTarget::Stdout => AccessLogTarget::Stdout,
        AccessLogTarget::File(path) => AccessLogTarget::File(folder.join(path)),
    })
}
