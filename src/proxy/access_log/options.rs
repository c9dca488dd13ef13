//! Options of the access log.

use std::fmt;
use std::path::PathBuf;

/// Options of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogOptions {
    /// Destination of the lines.
    pub target: AccessLogTarget,
    /// Format of a line.
    pub format: AccessLogFormat,
    /// Whether the queries of paths and referrers are logged.
    pub query: bool,
}

impl AccessLogOptions {
    /// Options with the default format: JSON lines with queries.
    #[must_use]
    pub fn new(target: AccessLogTarget) -> Self {
        Self {
            target,
            format: AccessLogFormat::Json,
            query: true,
        }
    }
}

/// Destination of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// Standard output.
    Stdout,
    /// A file, which is appended to.
    File(PathBuf),
}

impl fmt::Display for AccessLogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Format of an access log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// A JSON object with all known facts of the request.
    Json,
    /// The Common Log Format.
    Common,
    /// The Combined Log Format, which adds referrer and user agent.
    Combined,
}

impl fmt::Display for AccessLogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Common => "common",
            Self::Combined => "combined",
        })
    }
}
