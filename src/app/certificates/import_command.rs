//! Imports the certificates of another program into storage.

use std::path::Path;

use super::issuance_setup::stored_issuers;
use super::policies::policies;
use crate::app::Error;
use crate::app::shared_state::open_storage;
use crate::certs::import::{self, Candidate, ImportedName};
use crate::certs::{CertificateStore, Policy};
use crate::config::Config;
use crate::name::HostPattern;
use crate::printable::single_line;

/// The result of an import, one line for each certificate.
#[derive(Debug)]
pub struct Imported {
    /// Imported certificates, and those that were not needed.
    pub lines: Vec<String>,
    /// Refused certificates, each with the reason.
    pub refused: Vec<String>,
}

/// Stores the certificates at `path` for the issuers of `config`, so that the proxy serves and renews them. Sends no request to
/// a CA, and overwrites no certificate that is valid for longer.
pub async fn import(config: &Config, path: &Path) -> Result<Imported, Error> {
    let scan = import::scan(path)?;
    let storage = open_storage(config)?;
    let issuers = stored_issuers(config, &storage)?;
    let policies = policies(config, &issuers, None)?;
    // A certificate for no site is stored under the issuer that a site of this name would have.
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
    let records = CertificateStore::new(storage);
    let mut lines = Vec::with_capacity(scan.found.len());
    for found in &scan.found {
        let kept = import::store(&records, found, issuer_of).await?;
        lines.push(describe(found, &kept));
        let warnings = found.warnings().into_iter();
        lines.extend(warnings.map(|warning| format!("{}: warning: {warning}", found.origin())));
    }
    // Names of files may hold anything.
    let printable = |line: &String| single_line(line).into_owned();
    let refused = scan.refused.iter().map(ToString::to_string);
    Ok(Imported {
        lines: lines.iter().map(printable).collect(),
        refused: refused.map(|line| printable(&line)).collect(),
    })
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
        line += &format!("{comma} {names} kept: the stored certificate is valid at least as long");
    }
    line
}
