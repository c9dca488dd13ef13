//! Results of a change to one trust store, and errors of the whole command.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::tool::ToolError;
use crate::cli::failure::CommandError;
use crate::config;

/// Reasons why no store, or not every store, was changed.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(
        "there is no internal CA yet in {}; start the proxy with a local name first, or give its storage with `--storage file:DIR`",
        .0.display()
    )]
    NoRoot(PathBuf),
    #[error("{} cannot be read: {source}; only root can read it; run `{sudo}`", path.display())]
    NotAllowed {
        path: PathBuf,
        sudo: String,
        source: io::Error,
    },
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} contains no certificate; remove it and start the proxy, which creates a new one", .0.display())]
    Damaged(PathBuf),
    #[error("not every trust store could be changed; the lines above say what to do")]
    Incomplete,
}

impl CommandError for Error {
    fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_))
    }
}

/// A change to a trust store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Install,
    Remove,
}

/// The result of a change to one trust store.
#[derive(Debug)]
pub(super) enum Outcome {
    Installed,
    Removed,
    NotInstalled,
    Failed(Failure),
}

/// Reasons why a trust store was not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("this needs root; run `{0}`")]
    NeedsRoot(String),
    #[error("{} cannot be changed: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Tool(#[from] ToolError),
    #[error(
        "`certutil` is missing; install it (Debian: libnss3-tools, others: nss-tools or nss) and run `proxy trust` again"
    )]
    NoCertutil,
    #[error("no known folder for root certificates exists; install the package ca-certificates")]
    NoSystemStore,
}

impl Outcome {
    pub(super) fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed => f.write_str("the root certificate is trusted"),
            Self::Removed => f.write_str("the root certificate is removed"),
            Self::NotInstalled => f.write_str("the root certificate was not installed"),
            Self::Failed(failure) => write!(f, "unchanged: {failure}"),
        }
    }
}

impl From<Result<Self, Failure>> for Outcome {
    fn from(result: Result<Self, Failure>) -> Self {
        result.unwrap_or_else(Self::Failed)
    }
}
