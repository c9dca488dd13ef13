//! The certificates that the operator brings as files: read at the start, and again when the files or the sites change.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::Error;
use crate::certs::{CertCache, Certificate, CertificateError, TlsFiles};
use crate::config::SiteConfig;
use crate::name::HostPattern;
use crate::tasks::{Shutdown, Tasks};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// All pairs of certificate and key that sites bring, each read once however many sites share it.
#[derive(Debug)]
pub(super) struct FilePairs {
    pairs: Vec<Pair>,
}

#[derive(Debug)]
struct Pair {
    files: TlsFiles,
    sites: Vec<HostPattern>,
    certificate: Arc<Certificate>,
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
    /// Reads all pairs. One that has expired is served with a warning: the operator may have nothing better. Blocks.
    pub(super) fn read(sites: &[SiteConfig]) -> Result<Self, Error> {
        let mut by_files: HashMap<&TlsFiles, Vec<HostPattern>> = HashMap::new();
        for site in sites {
            if let Some(files) = &site.tls {
                let sites = by_files.entry(files).or_default();
                sites.push(site.pattern.clone());
            }
        }
        let mut pairs = Vec::with_capacity(by_files.len());
        for (files, sites) in by_files {
            // How the files are is noted before they are read, so that what is written meanwhile is read the next time.
            let seen = stamps(files);
            pairs.push(Pair {
                certificate: Arc::new(read_pair(files, &sites)?),
                files: files.clone(),
                sites,
                seen,
            });
        }
        Ok(Self { pairs })
    }

    /// Serves the pairs, and what their files become, until `tasks` stop.
    pub(super) fn serve(self, cache: Arc<CertCache>, tasks: &Tasks) -> ServedPairs {
        for pair in &self.pairs {
            pair.pin(&cache);
        }
        let (successors, inbox) = mpsc::unbounded_channel();
        let watch = Watch {
            served: self,
            cache,
            inbox,
        };
        tasks.spawn(watch.run(tasks.shutdown()));
        ServedPairs { successors }
    }

    fn sites(&self) -> impl Iterator<Item = &HostPattern> {
        self.pairs.iter().flat_map(|pair| &pair.sites)
    }
}

/// Pairs that are served.
#[derive(Debug)]
pub(super) struct ServedPairs {
    successors: mpsc::UnboundedSender<(FilePairs, oneshot::Sender<()>)>,
}

impl ServedPairs {
    /// Serves `pairs` instead, and returns when it does. What was served for other sites is left to whoever else has a
    /// certificate for them.
    pub(super) async fn replace(&self, pairs: FilePairs) {
        let (done, is_done) = oneshot::channel();
        // The watch is gone only when the process stops.
        if self.successors.send((pairs, done)).is_ok() {
            let _ = is_done.await;
        }
    }
}

/// The one task that looks at the files.
struct Watch {
    served: FilePairs,
    cache: Arc<CertCache>,
    inbox: mpsc::UnboundedReceiver<(FilePairs, oneshot::Sender<()>)>,
}

impl Watch {
    /// What cannot be served leaves in place what was there.
    async fn run(mut self, shutdown: Shutdown) {
        loop {
            let is_idle = self.served.pairs.is_empty();
            let look = tokio::select! {
                () = shutdown.requested() => return,
                successor = self.inbox.recv() => match successor {
                    Some((pairs, done)) => {
                        self.succeed(pairs);
                        let _ = done.send(());
                        continue;
                    }
                    None => return,
                },
                () = tokio::time::sleep(INTERVAL), if !is_idle => {
                    tokio::task::spawn_blocking(move || {
                        self.look();
                        self
                    })
                }
            };
            match look.await {
                Ok(watch) => self = watch,
                Err(_) => return,
            }
        }
    }

    fn succeed(&mut self, pairs: FilePairs) {
        for pair in &pairs.pairs {
            pair.pin(&self.cache);
        }
        let former = std::mem::replace(&mut self.served, pairs);
        for site in former.sites() {
            if self.served.sites().all(|kept| kept != site) {
                self.cache.unpin(site);
            }
        }
    }

    fn look(&mut self) {
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
                    "changed certificate files are not used, the former pair is served"
                ),
            }
        }
    }
}

impl Pair {
    fn has_changed(&self) -> bool {
        stamps(&self.files) != self.seen
    }

    /// Reads the pair again and serves it for its sites, or for none of them.
    fn reload(&mut self, cache: &CertCache) -> Result<&Certificate, Error> {
        self.seen = stamps(&self.files);
        self.certificate = Arc::new(read_pair(&self.files, &self.sites)?);
        self.pin(cache);
        Ok(&self.certificate)
    }

    fn pin(&self, cache: &CertCache) {
        for site in &self.sites {
            cache.pin(site, Arc::clone(&self.certificate));
        }
    }
}

fn stamps(files: &TlsFiles) -> [Option<Stamp>; 2] {
    [&files.cert, &files.key].map(|path| Stamp::of(path))
}

/// The pair, if it can be served for all of the sites.
fn read_pair(files: &TlsFiles, sites: &[HostPattern]) -> Result<Certificate, Error> {
    let unusable = |site: &HostPattern, source| Error::Certificate {
        site: site.clone(),
        path: files.cert.clone(),
        source,
    };
    let (chain, key) = (read(&files.cert)?, read(&files.key)?);
    let certificate = Certificate::from_pem_pair(&chain, &key);
    let certificate = certificate.map_err(|source| unusable(&sites[0], source))?;
    let mut late = None;
    for site in sites {
        match certificate.verify_for(site, SystemTime::now()) {
            Ok(()) => (),
            Err(error @ (CertificateError::Expired(_) | CertificateError::NotYetValid(_))) => {
                late = Some(error);
            }
            Err(source) => return Err(unusable(site, source)),
        }
    }
    if let Some(error) = late {
        warn!(file = %files.cert.display(), %error, "certificate is served although clients will refuse it");
    }
    Ok(certificate)
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
