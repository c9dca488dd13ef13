//! Text in the files of a data directory.

use std::path::Path;

/// Returns `true` if any file below `dir` holds `needle`.
pub(crate) fn holds(dir: &Path, needle: &str) -> bool {
    std::fs::read_dir(dir)
        .unwrap()
        .map(Result::unwrap)
        .any(|entry| {
            let path = entry.path();
            match path.is_dir() {
                true => holds(&path, needle),
                false => std::fs::read_to_string(&path).is_ok_and(|text| text.contains(needle)),
            }
        })
}
