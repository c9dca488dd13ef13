//! The operations of the admin socket and of `proxy certs`: reports, renewals, revocations and key rollovers, in a running proxy
//! or on storage alone.

use std::sync::Arc;

use super::configured_names::ConfiguredNames;
use super::error::Error;
use super::name_state::NameState;
use super::response::{
    AttemptsFacts, CertificateFacts, Done, Line, Page, RecordFacts, Report, time,
};
use super::stats::Stats;
use super::status::{Status, StatusReport};
use crate::certs::issuer::roll_account_keys;
use crate::certs::{
    Attempts, CertManager, Certificate, CertificateStore, Inventory, Issuers, RevocationReason,
    Revoker, Stored, StoredCertificate, renew_at,
};
use crate::name::HostPattern;

/// Most lines of one page.
const LONGEST_PAGE: usize = 10_000;

/// Operations on certificates. Some need a running proxy.
#[derive(Clone, Debug)]
pub struct Operations {
    records: CertificateStore,
    manager: Option<CertManager>,
    revoker: Option<Revoker>,
    issuers: Option<Issuers>,
    names: Option<Arc<ConfiguredNames>>,
    stats: Option<Box<Stats>>,
}

/// The records of one name in storage.
struct Found {
    kept: Option<StoredCertificate>,
    attempts: Option<Attempts>,
    /// Why the attempts cannot be read, if so.
    unreadable: Option<String>,
}

impl Found {
    fn state(&self, subject: &HostPattern) -> Option<NameState> {
        let state = NameState::stored(subject, self.kept.as_ref(), self.attempts.as_ref());
        match &self.unreadable {
            None => state,
            Some(reason) => Some(NameState::with_unreadable_attempts(state, reason)),
        }
    }
}

impl Operations {
    /// Operations in a running proxy.
    #[must_use]
    pub fn live(manager: CertManager) -> Self {
        Self {
            manager: Some(manager.clone()),
            ..Self::stored(manager.records().clone())
        }
    }

    /// Operations on storage alone.
    #[must_use]
    pub fn stored(records: CertificateStore) -> Self {
        Self {
            records,
            manager: None,
            revoker: None,
            issuers: None,
            names: None,
            stats: None,
        }
    }

    /// Adds the statistics of the running proxy.
    #[must_use]
    pub fn with_stats(mut self, stats: Stats) -> Self {
        self.stats = Some(Box::new(stats));
        self
    }

    /// Adds the configured issuers, for their names.
    #[must_use]
    pub fn with_issuers(mut self, issuers: Issuers) -> Self {
        self.issuers = Some(issuers);
        self
    }

    /// Adds the configured names.
    #[must_use]
    pub fn with_names(mut self, names: ConfiguredNames) -> Self {
        self.names = Some(Arc::new(names));
        self
    }

    /// Adds a revoker, which sends requests to the issuers.
    #[must_use]
    pub fn with_revoker(mut self, revoker: Revoker) -> Self {
        self.revoker = Some(revoker);
        self
    }

    /// Returns the status of the running proxy, or of the site that has or serves a name.
    pub async fn status(&self, site: Option<&str>) -> Result<Status, Error> {
        let stats = self.stats.clone().ok_or(Error::NeedsProxy)?;
        let report = StatusReport::new(*stats);
        match site {
            None => report.whole().await,
            Some(name) => report.of_site(parse(name)?).await,
        }
    }

    /// Returns the names after `after` in order: the stored ones, and the configured ones of a running proxy.
    pub async fn page(&self, after: Option<&str>, limit: usize) -> Result<Page, Error> {
        let after = after.map(parse).transpose()?;
        let limit = limit.clamp(1, LONGEST_PAGE);
        let inventory = Inventory::open(self.records.clone()).await?;
        let others = self.manager.as_ref().map(CertManager::configured);
        let others = others.unwrap_or_default();
        let page = inventory.names(after.as_ref(), limit, &others).await?;
        let mut certificates = Vec::with_capacity(page.names.len());
        for name in &page.names {
            certificates.push(self.line(&inventory, name).await?);
        }
        let next = page.next.map(|name| name.to_string());
        Ok(Page { certificates, next })
    }

    /// Returns everything known about a name.
    pub async fn report(&self, name: &str) -> Result<Report, Error> {
        let name = parse(name)?;
        let inventory = Inventory::open(self.records.clone()).await?;
        let subject = self.subject_of(&name);
        let found = self.find(&inventory, &subject).await?;
        let state = self.state(&subject, &found).await;
        if state.is_unknown() {
            return Err(match self.manager {
                Some(_) => Error::Unknown(name),
                None => Error::NotStored(name),
            });
        }
        let kept = found.kept.as_ref();
        let facts = |kept| Some(CertificateFacts::new(kept, certificate(kept)?));
        Ok(Report {
            name: name.to_string(),
            state: state.word.to_owned(),
            standing: sentence(&name, &subject, state),
            certificate: kept.and_then(facts),
            attempts: found.attempts.as_ref().map(AttemptsFacts::new),
            records_to_set: self.records_to_set(&name).await,
        })
    }

    /// Renews the certificate of a name now, and waits for the result.
    pub async fn renew(&self, name: &str) -> Result<Done, Error> {
        let name = parse(name)?;
        let manager = self.manager.as_ref().ok_or(Error::NeedsProxy)?;
        match manager.renew_now(&name).await {
            Ok(certificate) => Ok(Done {
                done: format!(
                    "{name} has a new certificate, which is valid until {} and will be renewed from {}",
                    time(certificate.not_after()),
                    time(renew_at(&certificate)),
                ),
            }),
            Err(reason) => Err(Error::NotRenewed { name, reason }),
        }
    }

    /// Revokes the certificate of a name. A running proxy replaces it.
    pub async fn revoke(&self, name: &str, reason: &str) -> Result<Done, Error> {
        let name = parse(name)?;
        let reason = parse_reason(reason)?;
        let failed = |source| Error::NotRevoked {
            name: name.clone(),
            source,
        };
        let done = match (&self.manager, &self.revoker) {
            (Some(manager), _) => match manager.revoke(&name, reason).await.map_err(failed)? {
                Some(Ok(successor)) => format!(
                    "the certificate of {name} is revoked; its replacement is valid until {}",
                    time(successor.not_after())
                ),
                Some(Err(refusal)) => format!(
                    "the certificate of {name} is revoked; there is no replacement yet: {refusal}"
                ),
                None => format!(
                    "the certificate of {name} is revoked and removed; remove its site too, or the next request orders another certificate"
                ),
            },
            (None, Some(revoker)) => {
                revoker.revoke(&name, reason).await.map_err(failed)?;
                format!(
                    "the certificate of {name} is revoked and removed; no proxy is running, so no replacement is ordered"
                )
            }
            (None, None) => return Err(Error::NeedsProxy),
        };
        Ok(Done { done })
    }

    /// Changes the keys of the accounts at the CAs.
    pub async fn roll_account_keys(&self) -> Result<Done, Error> {
        // A reload may have replaced the issuers since the start.
        let live = self.manager.as_ref().map(CertManager::revoker);
        let revoker = live.as_ref().or(self.revoker.as_ref());
        let revoker = revoker.ok_or(Error::NeedsProxy)?;
        let issuers = roll_account_keys(revoker.issuers()).await;
        let issuers = issuers.map_err(Error::NotRolled)?.join(", ");
        Ok(Done {
            done: format!("the account key is changed at {issuers}"),
        })
    }

    async fn line(&self, inventory: &Inventory, name: &HostPattern) -> Result<Line, Error> {
        let subject = self.subject_of(name);
        let found = self.find(inventory, &subject).await?;
        let state = self.state(&subject, &found).await;
        let kept = found.kept.as_ref();
        let certificate = kept.and_then(certificate);
        Ok(Line {
            name: name.to_string(),
            subject: subject.to_string(),
            issuer: kept.map(|kept| kept.issuer.clone()),
            not_after: certificate.map(|certificate| time(certificate.not_after())),
            renew_at: certificate.map(|certificate| time(renew_at(certificate))),
            state: state.word.to_owned(),
            standing: sentence(name, &subject, state),
        })
    }

    /// Returns the subject of the certificate that serves a name: the name itself, or a wildcard that covers it.
    fn subject_of(&self, name: &HostPattern) -> HostPattern {
        match (&self.manager, &self.names) {
            (Some(manager), _) => manager.subject_of(name),
            (None, Some(names)) => names.subject_of(name),
            (None, None) => name.clone(),
        }
    }

    async fn find(&self, inventory: &Inventory, name: &HostPattern) -> Result<Found, Error> {
        let attempts = self.records.load_attempts(name).await;
        let unreadable = attempts.as_ref().err().map(ToString::to_string);
        let attempts = attempts.ok().flatten();
        let kept = inventory.certificate(name).await?;
        Ok(Found {
            kept: kept.map(|kept| self.named(kept)),
            attempts: attempts.filter(|attempts| attempts.counted_failures() > 0),
            unreadable,
        })
    }

    /// Replaces the identifier of the issuer by its configured name.
    fn named(&self, kept: StoredCertificate) -> StoredCertificate {
        let live = self.manager.as_ref().map(CertManager::issuers);
        let issuers = live.as_ref().or(self.issuers.as_ref());
        let issuer = issuers.map(|issuers| issuers.name_of(&kept.issuer).to_owned());
        StoredCertificate {
            issuer: issuer.unwrap_or(kept.issuer),
            ..kept
        }
    }

    async fn state(&self, name: &HostPattern, found: &Found) -> NameState {
        let stored = found.state(name);
        if let Some(manager) = &self.manager {
            return NameState::live(&manager.standing_of(name).await, stored);
        }
        match &self.names {
            Some(names) => {
                let standing = names.standing(&self.records, name).await;
                NameState::offline(&standing, stored)
            }
            None => stored.unwrap_or_else(NameState::unknown),
        }
    }

    async fn records_to_set(&self, name: &HostPattern) -> Vec<RecordFacts> {
        let records = match (&self.manager, &self.names) {
            (Some(manager), _) => manager.records_to_set(name).await,
            (None, Some(names)) => names.records_to_set(&self.records, name).await,
            (None, None) => Vec::new(),
        };
        records.into_iter().map(RecordFacts::from).collect()
    }
}

/// Returns the sentence about a name, which says so if the certificate of a wildcard serves it.
fn sentence(name: &HostPattern, subject: &HostPattern, state: NameState) -> String {
    if name == subject {
        state.sentence
    } else {
        format!("uses the certificate of {subject}: {}", state.sentence)
    }
}

/// Parses a reason of RFC 5280, in camel case or with hyphens.
fn parse_reason(text: &str) -> Result<RevocationReason, Error> {
    let mut word = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            word.push('-');
        }
        word.push(c.to_ascii_lowercase());
    }
    word.parse().map_err(|source| Error::Reason {
        text: text.to_owned(),
        source,
    })
}

fn certificate(kept: &StoredCertificate) -> Option<&Certificate> {
    match &kept.stored {
        Stored::Found(certificate) => Some(certificate),
        Stored::Missing | Stored::Damaged(_) => None,
    }
}

fn parse(text: &str) -> Result<HostPattern, Error> {
    HostPattern::parse(text).map_err(|source| Error::Name {
        text: text.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_in_both_spellings() {
        for (text, reason) in [
            ("unspecified", RevocationReason::Unspecified),
            ("keyCompromise", RevocationReason::KeyCompromise),
            ("key-compromise", RevocationReason::KeyCompromise),
            ("affiliationChanged", RevocationReason::AffiliationChanged),
            (
                "cessationOfOperation",
                RevocationReason::CessationOfOperation,
            ),
        ] {
            assert_eq!(parse_reason(text).unwrap(), reason);
        }
        let error = parse_reason("boredom").unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("`key-compromise`"));
    }
}
