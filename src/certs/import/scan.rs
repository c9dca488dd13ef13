//! Scan of one path for certificates in any known format.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::acme_client_folders::{read_caddy, read_certbot, read_lego};
use super::candidate::Candidate;
use super::error::Error;
use super::material::Attempt;
use super::{pem_files, traefik};

/// Reader of one format. Returns `None` if the path does not have this format.
type Reader = fn(&Path) -> Option<Vec<Attempt>>;

/// Readers of all formats, the most specific first.
const FORMATS: [Reader; 5] = [
    traefik::read,
    read_certbot,
    read_caddy,
    read_lego,
    pem_files::read,
];

/// Result of a scan.
#[derive(Debug, Default)]
pub struct Scan {
    /// Certificates that can be imported, each once.
    pub found: Vec<Candidate>,
    /// Reasons why the others cannot be imported.
    pub refused: Vec<Error>,
}

/// Scans a file or folder of certbot, Caddy, Traefik or lego, or plain PEM. Writes nothing. Blocks the thread.
pub fn scan(path: &Path) -> Result<Scan, Error> {
    fs::metadata(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let attempts = FORMATS.iter().find_map(|format| format(path));
    let attempts = attempts.ok_or_else(|| Error::Unrecognized(path.to_owned()))?;
    Ok(sort(attempts, SystemTime::now()))
}

fn sort(attempts: Vec<Attempt>, now: SystemTime) -> Scan {
    let mut scan = Scan::default();
    for attempt in attempts {
        match attempt.and_then(|material| Candidate::check(material, now)) {
            Ok(found) => scan.found.push(found),
            Err(error) => scan.refused.push(error),
        }
    }
    // A certificate may be present both with and without its chain.
    let serial = |found: &Candidate| found.certificate().serial().to_owned();
    scan.found
        .sort_by_key(|found| (serial(found), usize::MAX - found.chain_len()));
    scan.found.dedup_by_key(|found| serial(found));
    scan.found
        .sort_by(|one, other| one.origin().cmp(other.origin()));
    scan
}
