//! Answers from storage alone, for commands that need no running proxy.

use std::path::Path;
use std::sync::Arc;

use super::Error;
use crate::admin::Desk;
use crate::certs::Records;
use crate::storage::{self, FileStorage};

/// A desk over the data directory, which must be there.
pub fn open_desk(directory: &Path) -> Result<Desk, Error> {
    // Opening would make it, and hide that the wrong one is named.
    std::fs::read_dir(directory).map_err(|source| storage::Error::Directory {
        path: directory.to_owned(),
        source,
    })?;
    let storage = FileStorage::open(directory)?;
    Ok(Desk::stored(Records::new(Arc::new(storage))))
}
