//! Scan of one path for certificates in any known format.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::candidate::Candidate;
use super::error::Error;
use super::material::{Attempt, Material};
use super::{caddy, pem_folder, traefik};

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

/// Checks all attempts, and keeps the best certificate for each set of names. A certificate may be present both with and
/// without its chain, beside its predecessors, and beside others of its names that no client trusts.
fn sort(attempts: Vec<Attempt>, now: SystemTime) -> Scan {
    let mut scan = Scan::default();
    let mut materials = Vec::new();
    for attempt in attempts {
        match attempt {
            Ok(material) => materials.push(material),
            Err(error) => scan.refused.push(error),
        }
    }
    materials.sort_by_key(Material::rank);
    let mut checked: Vec<_> = materials
        .into_iter()
        .map(|material| {
            let (names, origin) = (material.names(), material.origin.clone());
            let checked = Candidate::check(material, now);
            (names, origin, checked)
        })
        .collect();
    // Those that can be imported come first, so that they take the place of those that cannot.
    checked.sort_by_key(|(.., checked)| checked.is_err());
    let mut seen = HashSet::new();
    checked.retain(|(names, ..)| names.is_empty() || seen.insert(names.clone()));
    checked.sort_by(|(_, one, _), (_, other, _)| one.cmp(other));
    for (.., checked) in checked {
        match checked {
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
