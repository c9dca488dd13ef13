//! Answers from storage alone, for commands that need no running proxy.

use std::path::Path;
use std::sync::Arc;

use super::Error;
use super::certificates::public_issuers;
use crate::admin::Desk;
use crate::certs::challenge::Solvers;
use crate::certs::{Records, Revoker};
use crate::config::Config;
use crate::storage::{self, FileStorage, Storage};

/// A desk that reaches the configured CAs as well.
pub fn open_revoking_desk(config: &Config) -> Result<Desk, Error> {
    let storage = open(config.storage.directory())?;
    // Nothing is proved to a CA here.
    let issuers = public_issuers(config, &storage, &Solvers::default())?;
    let records = Records::new(storage);
    Ok(Desk::stored(records.clone()).with_revoker(Revoker::new(records, issuers)))
}

/// A desk over the data directory, which must be there.
pub fn open_desk(directory: &Path) -> Result<Desk, Error> {
    Ok(Desk::stored(Records::new(open(directory)?)))
}

fn open(directory: &Path) -> Result<Arc<dyn Storage>, Error> {
    // Opening would make it, and hide that the wrong one is named.
    std::fs::read_dir(directory).map_err(|source| storage::Error::Directory {
        path: directory.to_owned(),
        source,
    })?;
    Ok(Arc::new(FileStorage::open(directory)?))
}
