//! Certificates in files of the operator: read at the start, and again when the files or the sites change.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::app::Error;
use crate::certs::{CertCache, Certificate, CertificateError, Flaw, TlsFiles};
use crate::config::SiteConfig;
use crate::name::HostPattern;
use crate::tasks::{Shutdown, Tasks};

/// Interval of checks for changed files.
const INTERVAL: Duration = Duration::from_secs(2);

/// The pairs of certificate and key of all sites. Sites with the same files share a pair.
#[derive(Debug)]
pub(in crate::app) struct FilePairs {
    pairs: Vec<Pair>,
}

#[derive(Debug)]
struct Pair {
    files: TlsFiles,
    sites: Vec<HostPattern>,
    certificate: Arc<Certificate>,
    /// Flaws to which clients may object.
    flaws: Vec<Flaw>,
    /// State of the files when they were last read, even if they could not be used.
    seen: [Option<Stamp>; 2],
}

/// The metadata that tells whether a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl FilePairs {
    /// Reads all pairs. An expired certificate is served: the operator may have nothing better. Blocks.
    pub(in crate::app) fn read(sites: &[SiteConfig]) -> Result<Self, Error> {
        let mut by_files: HashMap<&TlsFiles, Vec<HostPattern>> = HashMap::new();
        for site in sites {
            if let Some(files) = &site.tls {
                let sites = by_files.entry(files).or_default();
                sites.push(site.pattern.clone());
            }
        }
        let mut pairs = Vec::with_capacity(by_files.len());
        for (files, sites) in by_files {
            // Taken before the files are read, so that a write in between is noticed at the next check.
            let seen = stamps(files);
            let (certificate, flaws) = read_pair(files, &sites)?;
            pairs.push(Pair {
                certificate: Arc::new(certificate),
                flaws,
                files: files.clone(),
                sites,
                seen,
            });
        }
        Ok(Self { pairs })
    }

    /// Serves the pairs, and watches their files in one of `tasks`.
    pub(in crate::app) fn serve(self, cache: Arc<CertCache>, tasks: &Tasks) -> ServedPairs {
        for pair in &self.pairs {
            pair.pin(&cache);
            pair.log_flaws();
        }
        let (successors, inbox) = mpsc::unbounded_channel();
        let watcher = Watcher {
            served: self,
            cache,
            inbox,
        };
        tasks.spawn(watcher.run(tasks.shutdown()));
        ServedPairs { successors }
    }

    fn sites(&self) -> impl Iterator<Item = &HostPattern> {
        self.pairs.iter().flat_map(|pair| &pair.sites)
    }
}

/// Pairs that are served and watched for changes.
#[derive(Debug)]
pub(in crate::app) struct ServedPairs {
    successors: mpsc::UnboundedSender<(FilePairs, oneshot::Sender<Vec<PathBuf>>)>,
}

impl ServedPairs {
    /// Serves `pairs` instead, and returns once they are served. Sites without a pair get their certificates from elsewhere from
    /// then on. Returns the files that have another certificate than before.
    pub(in crate::app) async fn replace(&self, pairs: FilePairs) -> Vec<PathBuf> {
        let (done, changed) = oneshot::channel();
        // The watcher ends only when the process stops.
        if self.successors.send((pairs, done)).is_err() {
            return Vec::new();
        }
        changed.await.unwrap_or_default()
    }
}

/// The task that watches the files.
struct Watcher {
    served: FilePairs,
    cache: Arc<CertCache>,
    inbox: mpsc::UnboundedReceiver<(FilePairs, oneshot::Sender<Vec<PathBuf>>)>,
}

impl Watcher {
    /// Files that cannot be used leave the previous pair in place.
    async fn run(mut self, shutdown: Shutdown) {
        loop {
            let is_idle = self.served.pairs.is_empty();
            let check = tokio::select! {
                () = shutdown.requested() => return,
                successor = self.inbox.recv() => match successor {
                    Some((pairs, done)) => {
                        let changed = self.replace(pairs);
                        let _ = done.send(changed);
                        continue;
                    }
                    None => return,
                },
                () = tokio::time::sleep(INTERVAL), if !is_idle => {
                    tokio::task::spawn_blocking(move || {
                        self.check();
                        self
                    })
                }
            };
            match check.await {
                Ok(watcher) => self = watcher,
                Err(_) => return,
            }
        }
    }

    fn replace(&mut self, pairs: FilePairs) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for pair in &pairs.pairs {
            pair.pin(&self.cache);
            let mut former = self.served.pairs.iter();
            let former = former.find(|former| former.files == pair.files);
            let leaf = former.map(|former| former.certificate.leaf());
            if leaf != Some(pair.certificate.leaf()) {
                pair.log_flaws();
                changed.extend(leaf.map(|_| pair.files.cert.clone()));
            }
        }
        changed.sort();
        let former = std::mem::replace(&mut self.served, pairs);
        for site in former.sites() {
            if self.served.sites().all(|kept| kept != site) {
                self.cache.unpin(site);
            }
        }
        changed
    }

    fn check(&mut self) {
        for pair in &mut self.served.pairs {
            if !pair.has_changed() {
                continue;
            }
            let (cert, key) = (
                pair.files.cert.display().to_string(),
                pair.files.key.display().to_string(),
            );
            match pair.reload(&self.cache) {
                Ok(certificate) => info!(
                    file = %cert, serial = certificate.serial(),
                    not_after = %humantime::format_rfc3339_seconds(certificate.not_after()),
                    "certificate files reloaded"
                ),
                Err(error) => warn!(
                    file = %cert, key = %key, %error,
                    "changed certificate files cannot be used; the previous pair is still served"
                ),
            }
        }
    }
}

impl Pair {
    fn has_changed(&self) -> bool {
        stamps(&self.files) != self.seen
    }

    /// Reads the pair again and serves it, if it can be used for all of its sites.
    fn reload(&mut self, cache: &CertCache) -> Result<&Certificate, Error> {
        self.seen = stamps(&self.files);
        let (certificate, flaws) = read_pair(&self.files, &self.sites)?;
        (self.certificate, self.flaws) = (Arc::new(certificate), flaws);
        self.pin(cache);
        self.log_flaws();
        Ok(&self.certificate)
    }

    fn pin(&self, cache: &CertCache) {
        for site in &self.sites {
            cache.pin(site, Arc::clone(&self.certificate));
        }
    }

    /// Logs what clients may not like. Called when the certificate begins to be served.
    fn log_flaws(&self) {
        let file = self.files.cert.display();
        for flaw in &self.flaws {
            let cure = match flaw {
                Flaw::LeftOut { .. } => {
                    info!(%file, reason = %flaw, "certificate left out of a chain");
                    continue;
                }
                Flaw::MissingIssuer { .. } => {
                    "; append it to the file, unless it is a root that clients trust"
                }
                Flaw::MustStaple | Flaw::CommonNameOnly => "",
            };
            if flaw.concerns_clients() {
                let reason = format!("{flaw}{cure}");
                warn!(%file, reason, "certificate is served, but clients may reject it");
            }
        }
        let now = SystemTime::now();
        let mut sites = self.sites.iter();
        let late = sites.find_map(|site| self.certificate.verify_for(site, now).err());
        if let Some(error) = late {
            warn!(%file, %error, "certificate is served, but clients will reject it");
        }
    }
}

fn stamps(files: &TlsFiles) -> [Option<Stamp>; 2] {
    [&files.cert, &files.key].map(|path| Stamp::of(path))
}

/// Reads a pair that must be usable for all of the sites, apart from the time. Returns it with its flaws.
fn read_pair(files: &TlsFiles, sites: &[HostPattern]) -> Result<(Certificate, Vec<Flaw>), Error> {
    let unusable = |site: &HostPattern, source| Error::Certificate {
        site: site.clone(),
        path: files.cert.clone(),
        source,
    };
    let (chain, key) = (read(&files.cert)?, read(&files.key)?);
    let pair = Certificate::read_pair(&chain, &key);
    let pair = pair.map_err(|source| unusable(&sites[0], source))?;
    for site in sites {
        match pair.certificate.verify_for(site, SystemTime::now()) {
            Ok(()) | Err(CertificateError::Expired(_) | CertificateError::NotYetValid(_)) => {}
            Err(source) => return Err(unusable(site, source)),
        }
    }
    Ok((pair.certificate, pair.flaws))
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
