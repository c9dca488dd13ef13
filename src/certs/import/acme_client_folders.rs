//! The folders of certbot, Caddy and lego, which hold a pair of PEM files for each certificate.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::material::{Attempt, Material, blocks, entries, is_certificate, text};

/// Reads `live/NAME/fullchain.pem` and `privkey.pem`, which are symbolic links. Accepts the folder of certbot, its `live`
/// folder, or the folder of one name.
pub(super) fn read_certbot(path: &Path) -> Option<Vec<Attempt>> {
    let mut folders = entries(&path.join("live"));
    folders.extend(entries(path));
    folders.push(path.to_owned());
    // A broken link counts as a name too, so that it is reported.
    let is_name = |folder: &&PathBuf| {
        folder.join("fullchain.pem").is_symlink() || folder.join("fullchain.pem").is_file()
    };
    let names = folders.iter().filter(is_name);
    let attempts: Vec<_> = names
        .map(|folder| Material::read(&folder.join("fullchain.pem"), &folder.join("privkey.pem")))
        .collect();
    (!attempts.is_empty()).then_some(attempts)
}

/// Reads `certificates/ISSUER/NAME/NAME.crt` and `NAME.key`. Accepts the data folder of Caddy, its parent, or its
/// `certificates` folder.
pub(super) fn read_caddy(path: &Path) -> Option<Vec<Attempt>> {
    let places = ["certificates", "caddy/certificates", ""].map(|place| path.join(place));
    let issuers = places.iter().flat_map(|place| entries(place));
    let attempts: Vec<_> = issuers
        .flat_map(|issuer| read_caddy_issuer(&issuer))
        .collect();
    (!attempts.is_empty()).then_some(attempts)
}

fn read_caddy_issuer(issuer: &Path) -> Vec<Attempt> {
    let is_local = issuer.file_name().is_some_and(|name| name == "local");
    let folders = entries(issuer).into_iter();
    folders
        .filter_map(|folder| {
            let mut chain = folder.join(folder.file_name()?).into_os_string();
            let mut key = chain.clone();
            chain.push(".crt");
            key.push(".key");
            let (chain, key) = (Path::new(&chain), Path::new(&key));
            let attempt = if is_local {
                Err(Error::LocalCa(chain.display().to_string()))
            } else {
                Material::read(chain, key)
            };
            chain.is_file().then_some(attempt)
        })
        .collect()
}

/// Reads `certificates/NAME.crt` and `NAME.key`, and the chain from `NAME.issuer.crt` if it is not bundled. Accepts the
/// folder of lego or its `certificates` folder.
pub(super) fn read_lego(path: &Path) -> Option<Vec<Attempt>> {
    let files = [path.join("certificates"), path.to_owned()];
    let files = files.iter().flat_map(|folder| entries(folder));
    let attempts: Vec<_> = files.filter_map(|file| read_lego_pair(&file)).collect();
    (!attempts.is_empty()).then_some(attempts)
}

fn read_lego_pair(chain: &Path) -> Option<Attempt> {
    let is_chain = chain
        .extension()
        .is_some_and(|extension| extension == "crt");
    let key = chain.with_extension("key");
    (is_chain && key.is_file()).then(|| {
        let material = Material::read(chain, &key)?;
        let is_alone = blocks(&material.chain, is_certificate)
            .matches("-----BEGIN")
            .count()
            == 1;
        match text(&chain.with_extension("issuer.crt")) {
            Ok(issuer) if is_alone => Ok(Material {
                chain: format!("{}\n{issuer}", material.chain),
                ..material
            }),
            _ => Ok(material),
        }
    })
}
