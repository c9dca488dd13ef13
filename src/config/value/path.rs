//! Paths as users write them.

use std::path::{Path, PathBuf};

/// A command whose relative path starts at `folder`. A bare name would be looked for in `PATH`.
pub(crate) fn command(folder: &Path, path: &str) -> PathBuf {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    folder.join(path)
}
