//! Why a record could not be read or written.

use std::io;
use std::path::PathBuf;

/// A failed storage operation. The storage is unchanged after each of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory itself cannot be used.
    #[error("the data directory {} cannot be used: {source}; give a writable one with --storage file:DIR", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record could not be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The record's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record could not be written or deleted.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The record's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
