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
    /// A record reads otherwise than it was written.
    #[error("{location} cannot be read back as it was written; check the disk")]
    Lossy {
        /// Where it lies.
        location: String,
    },
}

impl Error {
    /// Whether what is stored can still be read, and writing comes back when room is made: a full
    /// disk or one that was mounted read-only.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            Self::Directory { source, .. }
            | Self::Read { source, .. }
            | Self::Write { source, .. } => matches!(
                source.kind(),
                StorageFull | ReadOnlyFilesystem | QuotaExceeded
            ),
            Self::Lossy { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_passes_and_a_forbidden_one_does_not() {
        let error = |kind: io::ErrorKind| Error::Write {
            path: "x".into(),
            source: kind.into(),
        };
        assert!(error(io::ErrorKind::StorageFull).is_passing());
        assert!(error(io::ErrorKind::ReadOnlyFilesystem).is_passing());
        assert!(!error(io::ErrorKind::PermissionDenied).is_passing());
    }
}
