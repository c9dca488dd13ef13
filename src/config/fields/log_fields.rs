//! The keys of `[log]` and `access-log`.

use std::path::Path;

use crate::config::report::{Problem, Report};
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
    let mut codec = Codec::table(access_log_table, || {
        AccessLogOptions::new(AccessLogTarget::Stdout)
    });
    let read = codec.read;
    codec.read = Box::new(move |value, folder, report| {
        if value.is_string() {
            read_target(value, folder, report).map(AccessLogOptions::new)
        } else {
            read(value, folder, report)
        }
    });
    codec
}

pub(crate) fn access_log_table() -> Vec<Field<AccessLogOptions>> {
    let target = Codec {
        read: Box::new(read_target),
        write: Box::new(|target| Some(text(target))),
    };
    vec![
        field!("file", target, target),
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

fn read_target(
    value: &TomlValue<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<AccessLogTarget> {
    let target = value.string().and_then(parse_target);
    Some(match report.accept(value.start(), target)? {
        AccessLogTarget::Stdout => AccessLogTarget::Stdout,
        AccessLogTarget::File(path) => {
            let path = folder.join(path);
            report.name_file(value.start(), value.key(), &path);
            AccessLogTarget::File(path)
        }
    })
}
