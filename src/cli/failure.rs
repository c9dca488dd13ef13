//! Failures of commands: who is at fault, and so the exit code. Knows no command.

use std::error::Error;
use std::io;

use crate::app;
use crate::config::{Config, ConfigFile};

/// Runs the proxy with a configuration, and the file that it came from if there is one, until it has drained.
pub type Start = Box<dyn FnOnce(Config, Option<ConfigFile>) -> Result<(), Box<dyn Error>>>;

/// A command that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The arguments or the configuration are not valid.
    #[error(transparent)]
    Usage(Box<dyn Error>),
    /// The output cannot be written.
    #[error("cannot write the output")]
    Write(#[from] io::Error),
    /// The command has already told what is wrong, and this is its exit code.
    #[error("the output says what is wrong")]
    Told(u8),
    /// The command failed for any other reason.
    #[error(transparent)]
    Failed(Box<dyn Error>),
}

/// The error of a command.
pub(super) trait CommandError: Error + 'static {
    /// `true` if the arguments or the configuration are not valid.
    fn is_usage(&self) -> bool;
}

impl<E: CommandError> From<E> for Failure {
    fn from(error: E) -> Self {
        if error.is_usage() {
            Self::Usage(Box::new(error))
        } else {
            Self::Failed(Box::new(error))
        }
    }
}

impl Failure {
    /// The proxy does not run for this reason.
    pub(super) fn of_start(error: Box<dyn Error>) -> Self {
        match error.downcast_ref() {
            Some(app::Error::Logged) => Self::Told(1),
            _ => Self::Failed(error),
        }
    }

    /// Returns the exit code of the process.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Told(code) => *code,
            Self::Usage(_) => 2,
            Self::Write(_) | Self::Failed(_) => 1,
        }
    }
}
