//! The places in a Proxyfile at which files are named.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::diagnostic::Location;

/// The places of each file, by its path, with the key at each place.
#[derive(Clone, Default)]
pub struct FilePlaces(HashMap<PathBuf, Vec<(String, Location)>>);

impl FilePlaces {
    pub(super) fn add(&mut self, file: &Path, key: &str, location: Location) {
        let places = self.0.entry(file.to_owned()).or_default();
        places.push((key.to_owned(), location));
    }

    /// Returns the files, in no particular order.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Returns the places at which one of `keys` names a file, or all its places if none does. A file that only flags name has
    /// the command line.
    pub(crate) fn of(&self, file: &Path, keys: &[&str]) -> Vec<Location> {
        let all = self.0.get(file).map_or(&[][..], Vec::as_slice);
        let mut places: Vec<_> = all
            .iter()
            .filter(|(key, _)| keys.contains(&key.as_str()))
            .collect();
        if places.is_empty() {
            places.extend(all);
        }
        if places.is_empty() {
            return vec![Location::CommandLine];
        }
        let places = places.into_iter();
        places.map(|(_, location)| location.clone()).collect()
    }
}

impl fmt::Debug for FilePlaces {
    /// Prints no places, so that two texts with the same meaning print the same configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FilePlaces(..)")
    }
}
