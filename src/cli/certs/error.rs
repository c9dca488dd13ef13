//! Errors of commands about certificates or about a running proxy.

use std::io;
use std::path::PathBuf;

use crate::cli::failure::CommandError;
use crate::{admin, app, config};

/// A failed command, in one sentence with the fix.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("the runtime cannot be started: {0}")]
    Runtime(io::Error),
    #[error(transparent)]
    App(#[from] app::Error),
    #[error(transparent)]
    Admin(#[from] admin::Error),
    #[error("no proxy is running with the data directory {}, or it is stopping; start it, or give its admin socket with --admin PATH", .0.display())]
    NotRunning(PathBuf),
    #[error("no proxy listens on the admin socket {}; start it, or give the path of its socket with --admin PATH", .0.display())]
    NoAnswer(PathBuf),
    #[error(
        "there are no names: no proxy is running, and no Proxyfile was found; give one with --config FILE"
    )]
    NoSites,
    #[error("nothing was imported; the lines above say why")]
    NothingImported,
    #[error("the output cannot be formatted as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("cannot write the output")]
    Write(#[from] io::Error),
}

impl CommandError for Error {
    fn is_usage(&self) -> bool {
        match self {
            Self::Config(_) | Self::NoSites => true,
            Self::Admin(error) => error.is_usage(),
            _ => false,
        }
    }
}
