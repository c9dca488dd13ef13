//! Chain and key as text, and where they came from.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use super::Error;

/// No file of certificates is larger.
const LARGEST: u64 = 64 << 20;

/// What a format found at one place, before anybody looked into it. Its `Debug` shows no key.
pub(super) struct Material {
    pub(super) chain: String,
    pub(super) key: String,
    pub(super) origin: String,
}

/// What became of one place.
pub(super) type Attempt = Result<Material, Error>;

impl Material {
    /// Reads a pair of files.
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

/// The text of a file; a symbolic link is followed.
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(source) => Err(Error::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// What lies in a folder, in order; nothing when it is none or cannot be listed.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The blocks of a PEM text whose label is wanted, without what stands between them.
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

/// The label of a certificate's block.
pub(super) fn is_certificate(label: &str) -> bool {
    label == "CERTIFICATE"
}

/// The labels of a key's block.
pub(super) fn is_key(label: &str) -> bool {
    label.ends_with("PRIVATE KEY")
}
