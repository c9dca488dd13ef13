//! Resolves paths to commands.

use std::path::{Path, PathBuf};

/// Resolves the path of a command against `folder`. The result has a slash, so that the command is not searched for in
/// `PATH`.
pub(crate) fn command_path(folder: &Path, path: &str) -> PathBuf {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    folder.join(path)
}
