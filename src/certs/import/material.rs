//! Unchecked chain and key of one certificate, and helpers to read them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use super::Error;

/// Largest part of a file that is read, in bytes.
const READ_LIMIT: u64 = 64 << 20;

/// Unchecked chain and key as PEM, with their origin. `Debug` does not show the key.
pub(super) struct Material {
    pub(super) chain: String,
    pub(super) key: String,
    pub(super) origin: String,
}

/// Result of reading one certificate.
pub(super) type Attempt = Result<Material, Error>;

impl Material {
    /// Reads chain and key from two files.
    pub(super) fn read(chain: &Path, key: &Path) -> Attempt {
        Ok(Self {
            chain: text(chain)?,
            key: text(key)?,
            origin: chain.display().to_string(),
        })
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

/// Reads a file as text. Follows symbolic links.
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(READ_LIMIT).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
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

/// Returns the blocks of a PEM text whose labels are wanted, without the text between them.
pub(super) fn blocks(text: &str, is_wanted: fn(&str) -> bool) -> String {
    let mut found = String::new();
    let mut is_inside = false;
    for line in text.lines().map(str::trim) {
        let label = |start: &str| line.strip_prefix(start)?.strip_suffix("-----");
        if let Some(label) = label("-----BEGIN ") {
            is_inside = is_wanted(label);
        }
        if is_inside {
            found.push_str(line);
            found.push('\n');
        }
        if label("-----END ").is_some() {
            is_inside = false;
        }
    }
    found
}

/// Whether the label is that of a certificate.
pub(super) fn is_certificate(label: &str) -> bool {
    label == "CERTIFICATE"
}

/// Whether the label is that of a private key.
pub(super) fn is_key(label: &str) -> bool {
    label.ends_with("PRIVATE KEY")
}
