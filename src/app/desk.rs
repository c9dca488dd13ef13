//! Answers from storage alone, for commands that need no running proxy.

use std::path::Path;
use std::sync::Arc;

use super::signing::stored_issuers;
use super::{Error, sites};
use crate::admin::{Blueprint, Desk};
use crate::certs::{Issuers, Records, Revoker};
use crate::config::Config;
use crate::storage::{self, FileStorage, Storage};

/// A desk that reaches the configured CAs as well.
pub fn open_revoking_desk(config: &Config) -> Result<Desk, Error> {
    let storage = open(config.storage.directory())?;
    // Nothing is proved to a CA here.
    let issuers = stored_issuers(config, &storage)?.public;
    let records = Records::new(storage);
    Ok(Desk::stored(records.clone()).with_revoker(Revoker::new(records, issuers)))
}

/// A desk over the data directory, which must be there, that knows the configured sites.
pub fn open_desk(config: &Config) -> Result<Desk, Error> {
    let storage = open(config.storage.directory())?;
    let issuers = stored_issuers(config, &storage)?;
    let desk = Desk::stored(Records::new(storage)).with_issuers(issuers.clone());
    Ok(match config.sites.is_empty() {
        true => desk,
        false => desk.with_blueprint(blueprint(config, issuers)?),
    })
}

fn blueprint(config: &Config, issuers: Issuers) -> Result<Blueprint, Error> {
    let files = config.sites.iter().filter_map(|site| {
        let files = site.tls.as_ref()?;
        Some((site.pattern.clone(), files.cert.clone()))
    });
    Ok(Blueprint {
        policies: sites::policies(config, &issuers, None)?,
        issuers,
        files: files.collect(),
    })
}

fn open(directory: &Path) -> Result<Arc<dyn Storage>, Error> {
    // Opening would make it, and hide that the wrong one is named.
    std::fs::read_dir(directory).map_err(|source| storage::Error::Directory {
        path: directory.to_owned(),
        source,
    })?;
    Ok(Arc::new(FileStorage::open(directory)?))
}
