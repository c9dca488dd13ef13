//! Failures of commands: who is at fault, and so the exit code. Knows no command.

use std::error::Error;
use std::io;

use crate::config::{Config, ConfigFile};

/// Runs the proxy with a configuration, and the file that it came from if there is one, until it has drained.
pub type Start = fn(Config, Option<ConfigFile>) -> Result<(), Box<dyn Error>>;

/// A command that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The arguments or the configuration are not valid.
    #[error(transparent)]
    Usage(Box<dyn Error>),
    /// The output cannot be written.
    #[error("cannot write the output")]
    Write(#[from] io::Error),
    /// The command failed for any other reason.
    #[error(transparent)]
    Failed(Box<dyn Error>),
}

impl Failure {
    /// Takes the error of a command. `is_usage` says whether its arguments were not valid.
    pub(super) fn new(error: impl Error + 'static, is_usage: bool) -> Self {
        if is_usage {
            Self::Usage(Box::new(error))
        } else {
            Self::Failed(Box::new(error))
        }
    }

    /// Returns the exit code of the process.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Write(_) | Self::Failed(_) => 1,
        }
    }
}
