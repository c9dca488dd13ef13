//! Takes over what another program left behind, into the storage of a configuration.

use std::path::Path;

use super::grounds::open_storage;
use super::{Error, signing, sites};
use crate::certs::import::{self, Candidate, ImportedName};
use crate::certs::{Policy, Records};
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
    let scan = import::scan(path)?;
    let storage = open_storage(config)?;
    let issuers = signing::stored_issuers(config, &storage)?;
    let policies = sites::policies(config, &issuers, None)?;
    // What is for no site goes to whoever would sign for it if it were.
    let other = Policy::configured(HostPattern::Any);
    let issuer_of = |subject: &HostPattern| {
        let policy = match subject {
            HostPattern::Exact(name) => policies.lookup(name.as_str()),
            pattern => policies
                .iter()
                .find_map(|(site, policy)| (site == *pattern).then_some(policy)),
        };
        let policy = policy.map_or(&other, |policy| policy);
        let issuer = issuers.for_subject(subject, policy).first();
        issuer.unwrap_or(&issuers.internal).id().to_owned()
    };
    let records = Records::new(storage);
    let mut lines = Vec::with_capacity(scan.found.len());
    for found in &scan.found {
        let kept = import::store(&records, found, issuer_of).await?;
        lines.push(describe(found, &kept));
    }
    let refused = scan.refused.iter().map(ToString::to_string).collect();
    Ok(Imported { lines, refused })
}

fn describe(found: &Candidate, kept: &[ImportedName]) -> String {
    let (mut stored, mut as_good) = (Vec::new(), Vec::new());
    for kept in kept {
        match kept {
            ImportedName::Stored { subject, .. } => stored.push(subject.to_string()),
            ImportedName::AsGood { subject, .. } => as_good.push(subject.to_string()),
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
    line
}
