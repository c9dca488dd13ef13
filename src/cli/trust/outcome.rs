//! What became of one store, and why a root cannot be trusted at all.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::config;

use super::tool::ToolError;

/// Why nothing, or not all, was done.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(
        "no internal CA yet in {}; start the proxy with a local name first, or name its storage with `--storage file:DIR`",
        .0.display()
    )]
    NoRoot(PathBuf),
    #[error("{} cannot be read: {source}; as root it can: run `{sudo}`", path.display())]
    NotAllowed {
        path: PathBuf,
        sudo: String,
        source: io::Error,
    },
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds no certificate; remove it and start the proxy to have it made anew", .0.display())]
    Damaged(PathBuf),
    #[error("not every store could be changed; the lines above say what to do")]
    Incomplete,
}

impl Error {
    /// Whether another command line would help.
    pub(in crate::cli) fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_))
    }
}

/// What is done with the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Install,
    Remove,
}

/// What became of a store.
#[derive(Debug)]
pub(super) enum Outcome {
    Installed,
    Removed,
    WasNotThere,
    Failed(Failure),
}

/// Why a store is as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it needs root; run `{0}`")]
    NeedsRoot(String),
    #[error("{} cannot be changed: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Tool(#[from] ToolError),
    #[error(
        "`certutil` is missing; install it (Debian: libnss3-tools, others: nss-tools or nss) and run `proxy trust` again"
    )]
    NoCertutil,
    #[error("no known folder for roots is there; install the package ca-certificates")]
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
            Self::Installed => f.write_str("the root is trusted"),
            Self::Removed => f.write_str("the root is removed"),
            Self::WasNotThere => f.write_str("the root was not there"),
            Self::Failed(failure) => write!(f, "unchanged: {failure}"),
        }
    }
}

impl From<Result<Self, Failure>> for Outcome {
    fn from(result: Result<Self, Failure>) -> Self {
        result.unwrap_or_else(Self::Failed)
    }
}
