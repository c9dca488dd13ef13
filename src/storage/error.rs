//! Errors of reading and writing records.

use std::io;
use std::path::PathBuf;

/// A failed operation, which has left the storage unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory itself cannot be used.
    #[error("the data directory {} cannot be used: {source}; give a writable one with --storage file:DIR", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A record could not be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The record's file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A record could not be written or deleted.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The record's file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A record does not match its checksum.
    #[error("{location} cannot be read back as it was written; check the disk")]
    Lossy {
        /// The place of the record.
        location: String,
    },
}

impl Error {
    /// `true` if the user of this process may not read a record, as when another user wrote it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// `true` if the disk is full or read-only. Records can still be read then.
    #[must_use]
    pub fn is_disk_unwritable(&self) -> bool {
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
    fn a_full_disk_is_told_from_a_forbidden_one() {
        let error = |kind: io::ErrorKind| Error::Write {
            path: "x".into(),
            source: kind.into(),
        };
        assert!(error(io::ErrorKind::StorageFull).is_disk_unwritable());
        assert!(error(io::ErrorKind::ReadOnlyFilesystem).is_disk_unwritable());
        assert!(!error(io::ErrorKind::PermissionDenied).is_disk_unwritable());
        assert!(!error(io::ErrorKind::PermissionDenied).is_forbidden());
        let read = |kind: io::ErrorKind| Error::Read {
            path: "x".into(),
            source: kind.into(),
        };
        assert!(read(io::ErrorKind::PermissionDenied).is_forbidden());
        assert!(!read(io::ErrorKind::StorageFull).is_forbidden());
    }
}
