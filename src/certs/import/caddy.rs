//! The data folder of Caddy: `certificates/ISSUER/NAME/NAME.crt` and `NAME.key`.

use std::path::Path;

use super::error::Error;
use super::material::{Attempt, Material, entries};

/// Reads the data folder of Caddy, its parent, or its `certificates` folder.
pub(super) fn read(path: &Path) -> Option<Vec<Attempt>> {
    let places = ["certificates", "caddy/certificates", ""].map(|place| path.join(place));
    let issuers = places.iter().flat_map(|place| entries(place));
    let attempts: Vec<_> = issuers.flat_map(|issuer| read_issuer(&issuer)).collect();
    (!attempts.is_empty()).then_some(attempts)
}

fn read_issuer(issuer: &Path) -> Vec<Attempt> {
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
