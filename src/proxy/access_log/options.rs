//! Where the access log goes and what its lines look like.

use std::fmt;
use std::path::PathBuf;

/// Where the access log goes and what its lines look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogOptions {
    /// Where the lines go.
    pub target: AccessLogTarget,
    /// What a line looks like.
    pub format: AccessLogFormat,
    /// Whether the queries of paths and referers are kept.
    pub query: bool,
}

impl AccessLogOptions {
    /// JSON lines with queries.
    #[must_use]
    pub fn new(target: AccessLogTarget) -> Self {
        Self {
            target,
            format: AccessLogFormat::Json,
            query: true,
        }
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// To standard output.
    Stdout,
    /// To the end of a file.
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

/// What a line of the access log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// A JSON object with all that is known.
    Json,
    /// The Common Log Format.
    Common,
    /// The same with referer and user agent.
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
