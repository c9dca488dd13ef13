//! Why a command about certificates or about a running proxy failed.

use std::io;
use std::path::PathBuf;

use crate::{admin, app, config};

/// A failed command, in one sentence with the fix.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("the runtime could not be started: {0}")]
    Runtime(io::Error),
    #[error(transparent)]
    App(#[from] app::Error),
    #[error(transparent)]
    Admin(#[from] admin::Error),
    #[error("no proxy is running with the data directory {}; start it or pass --admin PATH", .0.display())]
    NotRunning(PathBuf),
    #[error("no proxy answers on the admin socket {}; start it or pass the path of its socket with --admin PATH", .0.display())]
    NoAnswer(PathBuf),
    #[error("nothing was imported; the lines above say why")]
    NothingImported,
    #[error("the answer could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("cannot write the answer")]
    Write(#[from] io::Error),
}

impl Error {
    /// Whether the command line is to blame.
    pub(in crate::cli) fn is_usage(&self) -> bool {
        match self {
            Self::Config(_) => true,
            Self::Admin(error) => error.is_usage(),
            _ => false,
        }
    }
}
