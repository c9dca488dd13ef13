//! Traefik: `acme.json`, with base64-encoded PEM for each resolver. Version 1 had one resolver and capitalized keys.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Error;
use super::material::{Attempt, Material, read as read_file};

/// Reads the file, or `acme.json` in a folder.
pub(super) fn read(path: &Path) -> Option<Vec<Attempt>> {
    let file = if path.is_dir() {
        path.join("acme.json")
    } else {
        path.to_owned()
    };
    let is_json = file
        .extension()
        .is_some_and(|extension| extension == "json");
    (is_json && file.is_file()).then(|| {
        let json = read_file(&file).and_then(|text| {
            serde_json::from_slice::<Value>(&text).map_err(|source| Error::Json {
                path: file.clone(),
                source,
            })
        });
        match json {
            Ok(json) => read_resolvers(&json, &file),
            Err(error) => vec![Err(error)],
        }
    })
}

fn read_resolvers(json: &Value, file: &Path) -> Vec<Attempt> {
    let resolvers = json
        .as_object()
        .into_iter()
        .flat_map(|object| object.values());
    std::iter::once(json)
        .chain(resolvers)
        .filter_map(|resolver| resolver.get("Certificates")?.as_array())
        .flatten()
        .map(|entry| read_entry(entry, file))
        .collect()
}

fn read_entry(entry: &Value, file: &Path) -> Attempt {
    let field = |value: &Value, [one, other]: [&str; 2]| {
        let value = value.get(one).or_else(|| value.get(other))?;
        Some(value.clone())
    };
    let domain = field(entry, ["domain", "Domain"]);
    let main = domain.and_then(|domain| field(&domain, ["main", "Main"]));
    let main = main
        .as_ref()
        .and_then(Value::as_str)
        .unwrap_or("an entry without a name");
    let origin = format!("{} ({main})", file.display());
    let pem = |names| {
        let encoded = field(entry, names)?;
        STANDARD.decode(encoded.as_str()?).ok()
    };
    match (pem(["certificate", "Certificate"]), pem(["key", "Key"])) {
        (Some(chain), Some(key)) => Material::parse(&chain, &key, origin),
        _ => Err(Error::Encoding { origin }),
    }
}
