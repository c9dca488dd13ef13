//! Operations on storage alone, for commands that need no running proxy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::certificates::{policies, stored_issuers};
use crate::admin::{ConfiguredNames, Operations};
use crate::certs::{CertificateStore, Issuers, Revoker};
use crate::config::Config;
use crate::name::NameMap;
use crate::storage::{self, FileStorage, Storage};

/// Opens the data directory, which must exist, for revocations and account key rollovers at the configured CAs.
pub fn open_revocation(config: &Config) -> Result<Operations, Error> {
    let storage = open(config.storage.directory())?;
    let issuers = stored_issuers(config, &storage)?.public;
    let records = CertificateStore::new(storage);
    let revoker = Revoker::new(records.clone(), issuers);
    Ok(Operations::stored(records).with_revoker(revoker))
}

/// Opens the data directory, which must exist, for reports on certificates and the configured sites.
pub fn open_operations(config: &Config) -> Result<Operations, Error> {
    let storage = open(config.storage.directory())?;
    let issuers = stored_issuers(config, &storage)?;
    let operations =
        Operations::stored(CertificateStore::new(storage)).with_issuers(issuers.clone());
    if config.sites.is_empty() {
        return Ok(operations);
    }
    Ok(operations.with_names(configured_names(config, issuers)?))
}

fn configured_names(config: &Config, issuers: Issuers) -> Result<ConfiguredNames, Error> {
    Ok(ConfiguredNames {
        policies: policies(config, &issuers, None)?,
        issuers,
        files: certificate_files(config),
    })
}

/// Returns the certificate files of the operator, by site.
pub(super) fn certificate_files(config: &Config) -> NameMap<PathBuf> {
    let files = config.sites.iter().flat_map(|site| {
        let cert = site.tls.as_ref().map(|files| &files.cert);
        cert.into_iter().flat_map(|cert| {
            site.patterns()
                .map(|pattern| (pattern.clone(), cert.clone()))
        })
    });
    files.collect()
}

fn open(directory: &Path) -> Result<Arc<dyn Storage>, Error> {
    // Opening storage creates the directory, which would hide that the wrong one was given.
    std::fs::read_dir(directory).map_err(|source| storage::Error::Directory {
        path: directory.to_owned(),
        source,
    })?;
    Ok(Arc::new(FileStorage::open(directory)?))
}
