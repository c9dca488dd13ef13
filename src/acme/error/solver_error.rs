//! The error of a challenge solver, which only the solver can read.

use std::error::Error as StdError;

/// The reason why a solver could not present a challenge.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SolverError(Box<dyn StdError + Send + Sync>);

impl SolverError {
    /// Wraps the solver's own error.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
