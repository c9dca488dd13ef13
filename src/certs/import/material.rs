//! Certificate and key as another program left them, before it is decided whether they are imported.

use std::cmp::Reverse;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Error;
use crate::certs::certificate::{Certificate, Flaw};

/// Largest part of a file that is read, in bytes.
const READ_LIMIT: u64 = 64 << 20;

/// A certificate with its chain and key, and where it was found. `Debug` does not show the key.
pub(super) struct Material {
    pub(super) certificate: Certificate,
    pub(super) flaws: Vec<Flaw>,
    /// The key as PEM.
    pub(super) key: String,
    pub(super) origin: String,
    /// Number of certificates in the file of the leaf.
    pub(super) in_file: usize,
}

/// Result of reading one certificate.
pub(super) type Attempt = Result<Material, Error>;

impl Material {
    /// Reads the texts of a chain and its key.
    pub(super) fn parse(chain: &[u8], key: &[u8], origin: String) -> Attempt {
        match Certificate::read_pair(chain, key) {
            Ok(read) => Ok(Self {
                certificate: read.certificate,
                flaws: read.flaws,
                key: read.key.to_pem(),
                origin,
                in_file: read.count,
            }),
            Err(source) => Err(Error::Certificate { origin, source }),
        }
    }

    /// Ranks certificates for the same names, the best first: by the end of their validity, then by their chains.
    pub(super) fn rank(&self) -> Reverse<(SystemTime, usize, usize)> {
        let chain = self.certificate.certified_key().cert.len();
        Reverse((self.certificate.not_after(), chain, self.in_file))
    }

    /// Returns the names in the certificate, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.certificate.names().iter();
        let mut names: Vec<_> = names.map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    /// Reads a chain and its key from two files.
    pub(super) fn read(chain: &Path, key: &Path) -> Attempt {
        Self::parse(&read(chain)?, &read(key)?, chain.display().to_string())
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, .. } = self;
        f.debug_struct("Material")
            .field("origin", origin)
            .finish_non_exhaustive()
    }
}

/// Reads a file. Follows symbolic links.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(READ_LIMIT).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(source) => Err(Error::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Lists a folder, sorted. Returns nothing if the path is not a folder or cannot be read.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
