//! Plain PEM: one file with chain and key, or a chain with its key in another file next to it.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::material::{Attempt, Material, blocks, entries, is_certificate, is_key, text};

/// Reads a file or a folder of files. Returns `None` if there is no certificate.
pub(super) fn read(path: &Path) -> Option<Vec<Attempt>> {
    if path.is_file() {
        return read_file(path).map(|attempt| vec![attempt]);
    }
    let is_pem = |file: &PathBuf| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("pem" | "crt" | "cer")) && file.is_file()
    };
    let files = entries(path).into_iter().filter(is_pem);
    // In a folder, most files without a key are the chain of another file.
    let is_relevant = |attempt: &Attempt| !matches!(attempt, Err(Error::NoKey(_)));
    let attempts: Vec<_> = files
        .filter_map(|file| read_file(&file))
        .filter(is_relevant)
        .collect();
    (!attempts.is_empty()).then_some(attempts)
}

/// Reads one file. Returns `None` if it holds no certificate.
fn read_file(path: &Path) -> Option<Attempt> {
    let chain = match text(path) {
        Ok(chain) => chain,
        Err(error) => return Some(Err(error)),
    };
    if blocks(&chain, is_certificate).is_empty() {
        return None;
    }
    let origin = path.display().to_string();
    if !blocks(&chain, is_key).is_empty() {
        let key = chain.clone();
        return Some(Ok(Material { chain, key, origin }));
    }
    let beside = keys_of(path).into_iter().find(|key| key.is_file());
    Some(match beside {
        Some(key) => text(&key).map(|key| Material { chain, key, origin }),
        None => Err(Error::NoKey(path.to_owned())),
    })
}

/// Returns possible paths of the key of a chain, the most likely first.
fn keys_of(chain: &Path) -> Vec<PathBuf> {
    let stem = chain.file_stem().unwrap_or_default().to_string_lossy();
    let name = chain.file_name().unwrap_or_default().to_string_lossy();
    let mut names = vec![
        format!("{name}.key"),
        format!("{stem}.key"),
        format!("{stem}.key.pem"),
        format!("{stem}-key.pem"),
    ];
    for (word, keys) in [
        ("fullchain", ["privkey", "key"]),
        ("cert", ["privkey", "key"]),
    ] {
        if name.contains(word) {
            names.extend(keys.map(|key| name.replace(word, key)));
            names.extend(keys.map(|key| format!("{}.key", stem.replace(word, key))));
        }
    }
    names
        .into_iter()
        .map(|name| chain.with_file_name(name))
        .collect()
}
