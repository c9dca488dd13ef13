//! Takes over what another program left behind, into the storage of a configuration.

use std::path::Path;
use std::sync::Arc;

use super::{Error, instance};
use crate::certs::challenge::Http01Tokens;
use crate::certs::import::{self, Found, Kept};
use crate::certs::{Issuers, Policy, Records};
use crate::config::Config;
use crate::name::HostPattern;

/// What an import did, one line per certificate.
#[derive(Debug)]
pub struct Imported {
    /// What was found and can be served.
    pub lines: Vec<String>,
    /// What was not taken over, each with its reason.
    pub refused: Vec<String>,
}

/// Stores the certificates at `path` for the issuers of `config`, so that the proxy serves and
/// renews them. Nothing is asked of a CA, and nothing newer is overwritten.
pub async fn import(config: &Config, path: &Path) -> Result<Imported, Error> {
    let harvest = import::read(path)?;
    let storage = instance::open_storage(config)?;
    let tokens = Arc::new(Http01Tokens::new());
    let issuers = instance::issuers(config, &storage, &tokens).await?;
    let records = Records::new(storage);
    let mut lines = Vec::with_capacity(harvest.found.len());
    for found in &harvest.found {
        lines.push(keep(&records, found, &issuers).await?);
    }
    let refused = harvest.refused.iter().map(ToString::to_string).collect();
    Ok(Imported { lines, refused })
}

async fn keep(records: &Records, found: &Found, issuers: &Issuers) -> Result<String, Error> {
    let issuer_of = |subject: &HostPattern| {
        let policy = Policy::configured(subject.clone());
        let issuer = issuers.for_subject(subject, &policy).first();
        issuer
            .map(|issuer| issuer.id().to_owned())
            .unwrap_or_default()
    };
    let kept = import::keep(records, found, issuer_of).await?;
    let (mut stored, mut as_good) = (Vec::new(), Vec::new());
    for kept in &kept {
        match kept {
            Kept::Stored { subject, .. } => stored.push(subject.to_string()),
            Kept::AsGood { subject, .. } => as_good.push(subject.to_string()),
        }
    }
    let not_after = humantime::format_rfc3339_seconds(found.certificate().not_after());
    let mut line = format!("{}:", found.origin());
    if !stored.is_empty() {
        line += &format!(" {} imported, valid until {not_after}", stored.join(", "));
    }
    if !as_good.is_empty() {
        let comma = if stored.is_empty() { "" } else { ";" };
        let names = as_good.join(", ");
        line += &format!("{comma} {names} kept as it is: what is stored is valid as long");
    }
    Ok(line)
}
