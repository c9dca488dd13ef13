//! The certificates that the operator brings as files: read at the start, and again when the files change.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use super::Error;
use crate::certs::{CertCache, Certificate, CertificateError, TlsFiles};
use crate::config::SiteConfig;
use crate::name::HostPattern;
use crate::tasks::Shutdown;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// All pairs of certificate and key that sites bring, each read once however many sites share it.
#[derive(Debug)]
pub(super) struct FilePairs {
    pairs: Vec<Pair>,
    cache: Arc<CertCache>,
}

#[derive(Debug)]
struct Pair {
    files: TlsFiles,
    sites: Vec<HostPattern>,
    /// How the files were when they were last read, whatever came of it.
    seen: [Option<Stamp>; 2],
}

/// What tells two states of a file apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl FilePairs {
    /// Reads all pairs and serves them. One that has expired is served with a warning: the operator may have nothing better.
    pub(super) fn load(sites: &[SiteConfig], cache: Arc<CertCache>) -> Result<Self, Error> {
        let mut by_files: HashMap<&TlsFiles, Vec<HostPattern>> = HashMap::new();
        for site in sites {
            if let Some(files) = &site.tls {
                let sites = by_files.entry(files).or_default();
                sites.push(site.pattern.clone());
            }
        }
        let mut pairs = Vec::with_capacity(by_files.len());
        for (files, sites) in by_files {
            let mut pair = Pair {
                files: files.clone(),
                sites,
                seen: [None; 2],
            };
            pair.serve(&cache)?;
            pairs.push(pair);
        }
        Ok(Self { pairs, cache })
    }

    /// Serves what the files become, until the process stops. What cannot be served leaves in place what was there.
    pub(super) async fn watch(mut self, shutdown: Shutdown) {
        while !self.pairs.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => (),
                () = shutdown.requested() => return,
            }
            let look = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match look.await {
                Ok(pairs) => self = pairs,
                Err(_) => return,
            }
        }
    }

    fn look(&mut self) {
        for pair in &mut self.pairs {
            if !pair.has_changed() {
                continue;
            }
            let (cert, key) = (
                pair.files.cert.display().to_string(),
                pair.files.key.display().to_string(),
            );
            match pair.serve(&self.cache) {
                Ok(certificate) => info!(
                    file = %cert, serial = certificate.serial(),
                    not_after = %humantime::format_rfc3339_seconds(certificate.not_after()),
                    "certificate files reloaded"
                ),
                Err(error) => warn!(
                    file = %cert, key = %key, %error,
                    "changed certificate files are not used, the former pair is served"
                ),
            }
        }
    }
}

impl Pair {
    fn has_changed(&self) -> bool {
        self.stamps() != self.seen
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.files.cert, &self.files.key].map(|path| Stamp::of(path))
    }

    /// Reads the pair and serves it for its sites, or for none of them. How the files are is noted before they are read, so
    /// that what is written meanwhile is read the next time.
    fn serve(&mut self, cache: &CertCache) -> Result<Arc<Certificate>, Error> {
        self.seen = self.stamps();
        let (chain, key) = (read(&self.files.cert)?, read(&self.files.key)?);
        let certificate = Certificate::from_pem_pair(&chain, &key);
        let certificate = certificate.map_err(|source| self.unusable(&self.sites[0], source))?;
        let mut late = None;
        for site in &self.sites {
            match certificate.verify_for(site, SystemTime::now()) {
                Ok(()) => (),
                Err(error @ (CertificateError::Expired(_) | CertificateError::NotYetValid(_))) => {
                    late = Some(error);
                }
                Err(source) => return Err(self.unusable(site, source)),
            }
        }
        if let Some(error) = late {
            warn!(file = %self.files.cert.display(), %error, "certificate is served although clients will refuse it");
        }
        let certificate = Arc::new(certificate);
        for site in &self.sites {
            cache.pin(site, Arc::clone(&certificate));
        }
        Ok(certificate)
    }

    fn unusable(&self, site: &HostPattern, source: CertificateError) -> Error {
        Error::Certificate {
            site: site.clone(),
            path: self.files.cert.clone(),
            source,
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata: Metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::ReadFile {
        path: path.to_owned(),
        source,
    })
}
