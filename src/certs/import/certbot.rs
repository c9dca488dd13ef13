//! certbot: `live/NAME/fullchain.pem` and `privkey.pem`, which are symbolic links.

use std::path::Path;

use super::material::{Attempt, Material, entries};

/// Takes certbot's folder, its `live`, or one name's folder.
pub(super) fn read(path: &Path) -> Option<Vec<Attempt>> {
    let mut folders = entries(&path.join("live"));
    folders.extend(entries(path));
    folders.push(path.to_owned());
    // A link that leads nowhere is a name all the same, and is told about.
    let is_name = |folder: &&std::path::PathBuf| {
        folder.join("fullchain.pem").is_symlink() || folder.join("fullchain.pem").is_file()
    };
    let names = folders.iter().filter(is_name);
    let attempts: Vec<_> = names
        .map(|folder| Material::read(&folder.join("fullchain.pem"), &folder.join("privkey.pem")))
        .collect();
    (!attempts.is_empty()).then_some(attempts)
}
