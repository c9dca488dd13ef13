//! All that one path holds, whatever program left it there.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::material::Attempt;
use super::{Error, Found, caddy, certbot, lego, plain, traefik};

/// Tells what lies at a path, or `None` when it is not of the format.
type Reader = fn(&Path) -> Option<Vec<Attempt>>;

/// The formats, the most telling first.
const FORMATS: [Reader; 5] = [
    traefik::read,
    certbot::read,
    caddy::read,
    lego::read,
    plain::read,
];

/// What was found at a path: what can be taken over, and what cannot with its reason.
#[derive(Debug, Default)]
pub struct Harvest {
    /// Each certificate once.
    pub found: Vec<Found>,
    /// One sentence each.
    pub refused: Vec<Error>,
}

/// Reads a file or folder of certbot, Caddy, Traefik or lego, or plain PEM. Writes nothing. Blocks.
pub fn read(path: &Path) -> Result<Harvest, Error> {
    fs::metadata(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let attempts = FORMATS.iter().find_map(|format| format(path));
    let attempts = attempts.ok_or_else(|| Error::Unrecognized(path.to_owned()))?;
    Ok(sort(attempts, SystemTime::now()))
}

fn sort(attempts: Vec<Attempt>, now: SystemTime) -> Harvest {
    let mut harvest = Harvest::default();
    for attempt in attempts {
        match attempt.and_then(|material| Found::check(material, now)) {
            Ok(found) => harvest.found.push(found),
            Err(error) => harvest.refused.push(error),
        }
    }
    // The same certificate may lie there with and without its chain.
    let serial = |found: &Found| found.certificate().serial().to_owned();
    harvest
        .found
        .sort_by_key(|found| (serial(found), usize::MAX - found.chain_len()));
    harvest.found.dedup_by_key(|found| serial(found));
    harvest
        .found
        .sort_by(|one, other| one.origin().cmp(other.origin()));
    harvest
}
