//! Requests of operators: the standing of a name, and a renewal now.

use std::sync::Arc;

use super::cert_manager::CertManager;
use super::state::Outcome;
use crate::certs::certificate::Certificate;
use crate::certs::issuance::Purpose;
use crate::certs::issuer::RecordToSet;
use crate::certs::policy::{AppliedPolicy, Issuers};
use crate::certs::status::{
    CertificateRefusal, RefusalKind, Standing, StoredStanding, backing_off, served,
};
use crate::certs::store::CertificateStore;
use crate::name::{HostName, HostPattern};

/// Limits how often `renew_now` waits for a look-up that began before it.
const MAX_JOINED: usize = 3;

impl CertManager {
    /// Replaces the certificate of a name now, whether or not it is due, and waits for the outcome. Overrides our own
    /// back-off once, but not the CA's Retry-After, the budgets or the ask endpoint. The current certificate is served until
    /// the new one is there.
    pub async fn renew_now(&self, subject: &HostPattern) -> Outcome {
        let ruleset = self.state.ruleset();
        let policy = match subject {
            HostPattern::Exact(name) => ruleset.policies.lookup(name.as_str()),
            pattern => ruleset.policies.get(pattern),
        };
        let policy = Arc::clone(policy.ok_or(CertificateRefusal::Unknown)?);
        let subject = &policy.subject_of(subject);
        let applied = AppliedPolicy { ruleset, policy };
        let serial = |outcome: &Outcome| {
            let certificate = outcome.as_ref().ok();
            certificate.map(|certificate| certificate.serial().to_owned())
        };
        let previous = self.state.cache().get(subject);
        let previous = previous.map(|certificate| certificate.serial().to_owned());
        for _ in 0..MAX_JOINED {
            // A look-up that began earlier may return the old certificate.
            let is_joined = self.is_in_flight(subject);
            let outcome = self.obtain(subject, &applied, Purpose::RenewNow).await;
            let is_new = serial(&outcome).is_some_and(|serial| Some(serial) != previous);
            if is_new || !is_joined {
                return outcome;
            }
        }
        self.obtain(subject, &applied, Purpose::RenewNow).await
    }

    /// Returns the names that the configuration spells out.
    #[must_use]
    pub fn configured(&self) -> Vec<HostPattern> {
        let ruleset = self.state.ruleset();
        let policies = ruleset.policies.iter();
        let names = policies.filter(|(_, policy)| policy.managed().is_some());
        names.map(|(pattern, _)| pattern).collect()
    }

    /// Returns the subject of the certificate that serves a name or pattern.
    #[must_use]
    pub fn subject_of(&self, name: &HostPattern) -> HostPattern {
        if let HostPattern::Exact(exact) = name
            && self.state.cache().is_pinned(exact.as_str())
        {
            return name.clone();
        }
        let applied = self.state.policy(name);
        applied.map_or_else(|| name.clone(), |applied| applied.policy.subject_of(name))
    }

    /// Returns the standing of a name: whether its certificate is served, or why there is none.
    pub async fn standing(&self, name: &HostName) -> Standing {
        let cache = self.state.cache();
        let served = cache.lookup(name.as_str());
        if let Some(certificate) = &served
            && cache.is_pinned(name.as_str())
        {
            return Standing::FromFiles {
                cert: None,
                not_after: Some(certificate.not_after()),
            };
        }
        let subject = HostPattern::Exact(name.clone());
        let applied = self.state.policy(&subject);
        let shared = applied.as_ref().map(|applied| applied.policy.subject(name));
        let subject = shared.unwrap_or(subject);
        self.standing_for(&subject, applied, served).await
    }

    /// Returns the standing of a name, like [`standing`](Self::standing), or of the certificate for a pattern.
    pub async fn standing_of(&self, subject: &HostPattern) -> Standing {
        if let HostPattern::Exact(name) = subject {
            return self.standing(name).await;
        }
        let ruleset = self.state.ruleset();
        let policy = ruleset.policies.get(subject).map(Arc::clone);
        let applied = policy.map(|policy| AppliedPolicy { ruleset, policy });
        let served = self.state.cache().get(subject);
        self.standing_for(subject, applied, served).await
    }

    async fn standing_for(
        &self,
        subject: &HostPattern,
        applied: Option<AppliedPolicy>,
        certificate: Option<Arc<Certificate>>,
    ) -> Standing {
        let Some(applied) = applied else {
            return Standing::refused(RefusalKind::UnknownName, CertificateRefusal::Unknown);
        };
        let attempts = self.obtainer().failures().attempts(subject).await;
        let attempts = attempts.filter(|attempts| attempts.counted_failures() > 0);
        if let Some(certificate) = certificate {
            let issuers = applied.issuers(subject);
            let records = self.obtainer().records();
            let signer = records.signer(issuers, subject, &certificate).await;
            let issuer = signer.map_or("", |issuer| issuer.name());
            return served(issuer, &certificate, Ok(attempts));
        }
        if self.is_in_flight(subject) {
            return Standing::Ordering;
        }
        // Failed attempts that could not be stored are known only in memory.
        let not_due = attempts.filter(|attempts| !attempts.is_due(self.clock().now()));
        if let Some(attempts) = not_due {
            return backing_off(attempts);
        }
        let now = self.clock().now();
        let sources = StoredStanding::of(&applied.ruleset, self.records());
        sources.standing_of(subject, &applied.policy, now).await
    }

    /// Returns the TXT records that the operator has to set once, so that CAs can validate the name or pattern.
    pub async fn records_to_set(&self, wanted: &HostPattern) -> Vec<RecordToSet> {
        let ruleset = self.state.ruleset();
        let sources = StoredStanding::of(&ruleset, self.records());
        sources.records_to_set(wanted).await
    }

    /// Returns the issuers of the current ruleset.
    #[must_use]
    pub fn issuers(&self) -> Issuers {
        self.state.ruleset().issuers.clone()
    }

    /// Returns the stored records that the manager works on.
    #[must_use]
    pub fn records(&self) -> &CertificateStore {
        self.obtainer().records()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::cert_manager::tests::{CLIENT, World, name, site};
    use super::*;
    use crate::certs::store::Attempts;
    use crate::storage::FileStorage;

    #[tokio::test]
    async fn an_operator_gets_a_new_certificate_before_the_old_one_is_due() {
        let world = World::new(Some(3600));
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let first = manager
            .certificate(&name("www.example.org"), CLIENT)
            .await
            .unwrap();
        let subject = HostPattern::Exact(name("www.example.org"));

        let second = manager.renew_now(&subject).await.unwrap();

        assert_ne!(second.serial(), first.serial());
        let served = manager
            .certificate(&name("www.example.org"), CLIENT)
            .await
            .unwrap();
        assert_eq!(served.serial(), second.serial());
        assert_eq!(world.issuer.orders(), 2);
        let unknown = manager
            .renew_now(&HostPattern::Exact(name("a.example")))
            .await;
        assert!(matches!(unknown, Err(CertificateRefusal::Unknown)));
    }

    #[tokio::test]
    async fn an_operator_overrides_our_own_back_off_but_not_the_cas_retry_after() {
        let world = World::new(None);
        let subject = HostPattern::Exact(name("www.example.org"));
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let refused = manager.certificate(&name("www.example.org"), CLIENT).await;
        assert!(matches!(
            refused,
            Err(CertificateRefusal::BackingOff { failures: 1, .. })
        ));

        let renewed = manager.renew_now(&subject).await;
        assert!(matches!(
            renewed,
            Err(CertificateRefusal::BackingOff { failures: 2, .. })
        ));
        assert_eq!(world.issuer.orders(), 2);

        let other = World::new(None);
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
        let failed = Attempts::default().failed("x".to_owned(), now, hour);
        let storage = FileStorage::open(other.dir.path()).unwrap();
        let records = CertificateStore::new(Arc::new(storage));
        let waiting = failed.with_ca_wait(now, Some(hour));
        let stored = records.store_attempts(&subject, &waiting).await;
        stored.unwrap();
        let (manager, _tasks) = other.manager(vec![site("www.example.org")]);
        let renewed = manager.renew_now(&subject).await;
        assert!(matches!(
            renewed,
            Err(CertificateRefusal::BackingOff { failures: 1, .. })
        ));
        assert_eq!(other.issuer.orders(), 0);
    }
}
