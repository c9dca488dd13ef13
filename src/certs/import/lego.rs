//! lego: `certificates/NAME.crt` and `NAME.key`, with the chain in `NAME.issuer.crt` where it is
//! not bundled.

use std::path::Path;

use super::material::{Attempt, Material, blocks, entries, is_certificate, text};

/// Takes lego's folder or its `certificates`.
pub(super) fn read(path: &Path) -> Option<Vec<Attempt>> {
    let files = [path.join("certificates"), path.to_owned()];
    let files = files.iter().flat_map(|folder| entries(folder));
    let attempts: Vec<_> = files.filter_map(|file| read_pair(&file)).collect();
    (!attempts.is_empty()).then_some(attempts)
}

fn read_pair(chain: &Path) -> Option<Attempt> {
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
