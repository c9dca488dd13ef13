//! Scan of one path for certificates in any known format.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::candidate::Candidate;
use super::error::Error;
use super::material::Attempt;
use super::{caddy, pem_folder, traefik};
use crate::name::HostPattern;

/// Reader of one format. Returns `None` if the path does not have this format.
type Reader = fn(&Path) -> Option<Vec<Attempt>>;

/// Readers of all formats, the most specific first.
const FORMATS: [Reader; 3] = [traefik::read, caddy::read, pem_folder::read_pem];

/// Result of a scan.
#[derive(Debug, Default)]
pub struct Scan {
    /// Certificates that can be imported, each once.
    pub found: Vec<Candidate>,
    /// Reasons why the others cannot be imported.
    pub refused: Vec<Error>,
}

/// Scans a folder of Caddy, Traefik's file, or PEM files of any program. Writes nothing. Blocks the thread.
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
    let mut materials = Vec::new();
    for attempt in attempts {
        match attempt {
            Ok(material) => materials.push(material),
            Err(error) => scan.refused.push(error),
        }
    }
    // A certificate may be present both with and without its chain, and beside its predecessors.
    materials.sort_by_key(|it| {
        let chain = it.certificate.certified_key().cert.len();
        let end = it.certificate.not_after();
        Reverse((end, chain, it.in_file))
    });
    let mut seen = HashSet::new();
    materials.retain(|it| {
        let mut names: Vec<HostPattern> = it.certificate.names().to_vec();
        names.sort_by_key(HostPattern::to_string);
        names.is_empty() || seen.insert(names)
    });
    materials.sort_by(|one, other| one.origin.cmp(&other.origin));
    for material in materials {
        match Candidate::check(material, now) {
            Ok(found) => scan.found.push(found),
            Err(error) => scan.refused.push(error),
        }
    }
    // Several files may lack the same key.
    let mut reported = HashSet::new();
    scan.refused
        .retain(|error| reported.insert(error.to_string()));
    scan
}
