//! The places in a Proxyfile at which files are named.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::diagnostic::Location;

/// The place of each file, by its path. A file that is named twice has its first place.
#[derive(Clone, Default)]
pub struct FilePlaces(HashMap<PathBuf, Location>);

impl FilePlaces {
    pub(super) fn add(&mut self, file: &Path, location: Location) {
        self.0.entry(file.to_owned()).or_insert(location);
    }

    /// Returns the place of a file. Files that flags name have none.
    pub(crate) fn of(&self, file: &Path) -> Location {
        let location = self.0.get(file).cloned();
        location.unwrap_or(Location::CommandLine)
    }
}

impl fmt::Debug for FilePlaces {
    /// Prints no places, so that two texts with the same meaning print the same configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FilePlaces(..)")
    }
}
