//! The standing of a name by its stored records and the configuration. Needs no running proxy.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::certificate_refusal::CertificateRefusal;
use super::standing::{RefusalKind, Standing, Trigger};
use crate::certs::budget::{Budgets, ChargeableOrder, HoldReason, OrderKind};
use crate::certs::certificate::{Certificate, CertificateError};
use crate::certs::issuer::{Issuer, RecordToSet};
use crate::certs::policy::{Issuers, Policy, Ruleset};
use crate::certs::public_suffix::Unsignable;
use crate::certs::renewal::renew_at;
use crate::certs::store::{Attempts, CertificateStore, Stored};
use crate::name::{HostName, HostPattern, NameMap};
use crate::storage;

/// The sources for the standing of a name: its records and the configuration.
#[derive(Clone, Copy, Debug)]
pub struct StoredStanding<'a> {
    /// The names that may have a certificate, with their rules.
    pub policies: &'a NameMap<Arc<Policy>>,
    /// The issuers.
    pub issuers: &'a Issuers,
    /// The stored certificates, attempts and budgets.
    pub records: &'a CertificateStore,
    /// The chain files of sites with certificate files of their own; `None` in a running proxy, which has them in its cache.
    pub files: Option<&'a NameMap<PathBuf>>,
}

impl<'a> StoredStanding<'a> {
    /// The sources in a running proxy.
    pub(crate) fn of(ruleset: &'a Ruleset, records: &'a CertificateStore) -> Self {
        Self {
            policies: &ruleset.policies,
            issuers: &ruleset.issuers,
            records,
            files: None,
        }
    }

    /// Returns the standing of `name` at `now`. Sends nothing and changes nothing.
    pub async fn standing(&self, name: &HostName, now: SystemTime) -> Standing {
        if let Some(cert) = self.files.and_then(|files| files.lookup(name.as_str())) {
            return Standing::FromFiles {
                cert: Some(cert.clone()),
                not_after: None,
            };
        }
        let Some(policy) = self.policies.lookup(name.as_str()) else {
            return Standing::refused(RefusalKind::UnknownName, CertificateRefusal::Unknown);
        };
        self.standing_of(&policy.subject(name), policy, now).await
    }

    /// Returns the standing of a name, or of the certificate for a pattern.
    pub async fn standing_of_pattern(&self, pattern: &HostPattern, now: SystemTime) -> Standing {
        match (pattern, self.policies.get(pattern)) {
            (HostPattern::Exact(name), _) => self.standing(name, now).await,
            (_, Some(policy)) => self.standing_of(pattern, policy, now).await,
            (_, None) => Standing::refused(RefusalKind::UnknownName, CertificateRefusal::Unknown),
        }
    }

    /// Returns what holds back further orders for a name or pattern: a budget, or the CA. `None` if nothing does.
    pub async fn hold(&self, wanted: &HostPattern, now: SystemTime) -> Option<HoldReason> {
        let policy = match wanted {
            HostPattern::Exact(name) => self.policies.lookup(name.as_str()),
            pattern => self.policies.get(pattern),
        }?;
        let subject = policy.subject_of(wanted);
        let issuers = self.issuers.for_subject(&subject, policy);
        self.held(issuers, &subject, now).await.ok()?
    }

    /// Returns the TXT records that the operator has to set once, so that CAs can validate the name or pattern: one for each
    /// issuer that needs one.
    pub async fn records_to_set(&self, wanted: &HostPattern) -> Vec<RecordToSet> {
        let policy = match wanted {
            HostPattern::Exact(name) => self.policies.lookup(name.as_str()),
            pattern => self.policies.get(pattern),
        };
        let Some(policy) = policy else {
            return Vec::new();
        };
        let subject = match wanted {
            HostPattern::Exact(name) => policy.subject(name),
            pattern => pattern.clone(),
        };
        let mut records = Vec::new();
        for issuer in self.issuers.for_subject(&subject, policy) {
            records.extend(issuer.record_to_set(&subject).await);
        }
        records
    }

    /// Returns the standing of a certificate subject.
    pub(crate) async fn standing_of(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        now: SystemTime,
    ) -> Standing {
        let found = self.of_records(subject, policy, now).await;
        found.unwrap_or_else(|error| Standing::refused(RefusalKind::Storage, error))
    }

    async fn of_records(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        now: SystemTime,
    ) -> Result<Standing, storage::Error> {
        let issuers = self.issuers.for_subject(subject, policy);
        let internal = &self.issuers.internal;
        let is_internal = issuers.iter().all(|issuer| Arc::ptr_eq(issuer, internal));
        let attempts = self.records.load_attempts(subject).await;
        let attempts = attempts.map(|it| it.filter(|attempts| attempts.counted_failures() > 0));
        if let Some((issuer, certificate)) = self.valid(issuers, subject, now).await? {
            return Ok(served(issuer, &certificate, attempts));
        }
        let mut attempts = attempts?;
        if let Some(refused) = refused(issuers, subject, policy) {
            return Ok(refused);
        }
        if let Some(attempts) = attempts.take_if(|attempts| !attempts.is_due(now)) {
            return Ok(backing_off(attempts));
        }
        Ok(match (self.held(issuers, subject, now).await?, attempts) {
            (Some(held), last) => Standing::Held {
                until: held.until(),
                reason: held.to_string(),
                last_error: last.map(|attempts| attempts.last_error),
            },
            (None, Some(attempts)) => backing_off(attempts),
            (None, None) => Standing::Waiting {
                trigger: trigger(policy, is_internal),
            },
        })
    }

    /// Returns the usable stored certificate that expires last, and its issuer's name.
    async fn valid<'b>(
        &self,
        issuers: &'b [Arc<dyn Issuer>],
        subject: &HostPattern,
        now: SystemTime,
    ) -> Result<Option<(&'b str, Arc<Certificate>)>, storage::Error> {
        let mut best: Option<(&str, Arc<Certificate>)> = None;
        for issuer in issuers {
            let stored = self.records.load_certificate(issuer.id(), subject).await?;
            let Stored::Found(certificate) = stored else {
                continue;
            };
            let usable = matches!(
                certificate.verify_for(subject, now),
                Ok(()) | Err(CertificateError::NotYetValid(_))
            );
            self.records
                .apply_plan(issuer.id(), subject, &certificate)
                .await;
            let found = usable.then_some((issuer.name(), certificate));
            let end = |(_, certificate): &(&str, Arc<Certificate>)| certificate.not_after();
            best = [best, found].into_iter().flatten().max_by_key(end);
        }
        Ok(best)
    }

    /// Returns what holds back an order, if every issuer that can sign is held back: the one that ends first.
    async fn held(
        &self,
        issuers: &[Arc<dyn Issuer>],
        subject: &HostPattern,
        now: SystemTime,
    ) -> Result<Option<HoldReason>, storage::Error> {
        let budgets = Budgets::new(Arc::clone(self.records.storage()));
        let mut soonest: Option<HoldReason> = None;
        for issuer in issuers {
            if unsignable(issuer.as_ref(), subject).is_some() {
                continue;
            }
            let counted_order = ChargeableOrder {
                issuer: issuer.id(),
                account: issuer.account(),
                limits: issuer.limits(),
                subject,
                kind: OrderKind::First,
            };
            let Some(held) = budgets.find_held(counted_order, now).await? else {
                return Ok(None);
            };
            let held = held.named(issuer.name());
            let both = soonest.into_iter().chain([held]);
            soonest = both.min_by_key(HoldReason::until);
        }
        Ok(soonest)
    }
}

/// Returns why an issuer cannot sign a name: it is a public one, and no public CA can.
pub(crate) fn unsignable(issuer: &dyn Issuer, subject: &HostPattern) -> Option<Unsignable> {
    Unsignable::find(subject).filter(|_| issuer.is_public())
}

pub(crate) fn served(
    issuer: &str,
    certificate: &Certificate,
    attempts: Result<Option<Attempts>, storage::Error>,
) -> Standing {
    let unreadable = attempts.as_ref().err().map(ToString::to_string);
    let attempts = attempts.ok().flatten();
    Standing::Served {
        issuer: issuer.to_owned(),
        not_after: certificate.not_after(),
        renew_at: renew_at(certificate),
        next_try: attempts.as_ref().map(Attempts::not_before),
        last_error: attempts.map(|attempts| attempts.last_error),
        unreadable,
    }
}

/// Returns why none of the issuers can sign a name.
pub(crate) fn unsignable_by_all(
    issuers: &[Arc<dyn Issuer>],
    subject: &HostPattern,
) -> Option<Unsignable> {
    let is_public = !issuers.is_empty() && issuers.iter().all(|issuer| issuer.is_public());
    Unsignable::find(subject).filter(|_| is_public)
}

fn refused(
    issuers: &[Arc<dyn Issuer>],
    subject: &HostPattern,
    policy: &Policy,
) -> Option<Standing> {
    if let Some(obstacle) = unsignable_by_all(issuers, subject) {
        return Some(Standing::refused(RefusalKind::NoPublicCa, obstacle));
    }
    let (Some(ask), HostPattern::Exact(name)) = (policy.ask(), subject) else {
        return None;
    };
    let error = ask.cached(name)?.err()?;
    let kind = if error.is_down() {
        RefusalKind::AskIsDown
    } else {
        RefusalKind::AskSaidNo
    };
    Some(Standing::refused(kind, error))
}

pub(crate) fn backing_off(attempts: Attempts) -> Standing {
    Standing::BackingOff {
        until: attempts.not_before(),
        failures: attempts.counted_failures(),
        reason: attempts.last_error,
        tried: attempts.tried,
    }
}

fn trigger(policy: &Policy, is_internal: bool) -> Trigger {
    match (policy.managed(), is_internal) {
        (Some(_), _) => Trigger::Start,
        (None, true) => Trigger::LocalHandshake,
        (None, false) => Trigger::Handshake,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::certs::budget::{Limits, Usage};
    use crate::certs::certificate::TestCa;
    use crate::certs::issuer::{Error, IssueRequest, Pem};
    use crate::certs::on_demand::{Ask, OnDemandOptions};
    use crate::certs::store::TriedIssuer;
    use crate::storage::FileStorage;

    /// An issuer that always fails.
    #[derive(Debug)]
    struct TestIssuer {
        is_public: bool,
    }

    impl Issuer for TestIssuer {
        fn id(&self) -> &'static str {
            "ca"
        }

        fn is_public(&self) -> bool {
            self.is_public
        }

        fn limits(&self) -> Limits {
            if self.is_public {
                Limits::PUBLIC
            } else {
                Limits::NONE
            }
        }

        fn issue<'a>(&'a self, _: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
            async { Err(Error::NoSubject) }.boxed()
        }
    }

    struct World {
        _dir: tempfile::TempDir,
        records: CertificateStore,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let records = CertificateStore::new(Arc::new(FileStorage::open(dir.path()).unwrap()));
            Self { _dir: dir, records }
        }

        /// The standing of a name while the proxy is stopped, with a site of each kind.
        async fn standing(&self, name: &str) -> Standing {
            let ask = OnDemandOptions::new("http://localhost:1/".parse().unwrap());
            let ask = Arc::new(Ask::new(&ask).unwrap());
            let pattern = |text: &str| HostPattern::parse(text).unwrap();
            let configured =
                |text: &str| (pattern(text), Arc::new(Policy::configured(pattern(text))));
            let any = pattern("*.example.net");
            let policies = [
                configured("www.example.org"),
                configured("nas.lan"),
                configured("*.localhost"),
                (any.clone(), Arc::new(Policy::on_demand(any, ask))),
            ];
            let files = [(pattern("own.example.org"), PathBuf::from("own.pem"))];
            let sources = StoredStanding {
                policies: &policies.into_iter().collect(),
                issuers: &Issuers {
                    public: vec![Arc::new(TestIssuer { is_public: true })],
                    internal: Arc::new(TestIssuer { is_public: false }),
                },
                records: &self.records,
                files: Some(&files.into_iter().collect()),
            };
            let name = HostName::parse(name).unwrap();
            sources.standing(&name, SystemTime::now()).await
        }
    }

    fn subject() -> HostPattern {
        HostPattern::parse("www.example.org").unwrap()
    }

    #[tokio::test]
    async fn the_configuration_alone_gives_a_standing() {
        let world = World::new();
        for (name, part) in [
            ("www.example.org", "a running proxy requests it"),
            ("a.example.net", "if the ask endpoint allows"),
            ("a.localhost", "from the internal CA"),
            ("own.example.org", "own.pem"),
            ("nas.lan", ".lan is reserved"),
            ("unknown.example.com", "add it to [sites]"),
        ] {
            let standing = world.standing(name).await.to_string();
            assert!(standing.contains(part), "{name}: {standing}");
        }
    }

    #[tokio::test]
    async fn a_failure_is_reported_until_a_certificate_is_stored() {
        let world = World::new();
        let hour = Duration::from_secs(3600);
        let attempts = Attempts::default()
            .failed("open port 80".to_owned(), SystemTime::now(), hour)
            .with_tried(vec![TriedIssuer {
                issuer: "ca".to_owned(),
                challenges: vec!["http-01".to_owned()],
            }]);
        let (records, subject) = (&world.records, subject());
        records.store_attempts(&subject, &attempts).await.unwrap();
        let standing = world.standing("www.example.org").await.to_string();
        for part in ["1 failed attempt", "at ca with http-01", "open port 80"] {
            assert!(standing.contains(part), "{part}: {standing}");
        }

        let pem = TestCa::new().sign(&["www.example.org"], -1..3600);
        let written = records.store_certificate("ca", &subject, &pem);
        written.await.unwrap();
        let standing = world.standing("www.example.org").await;
        assert!(matches!(
            standing,
            Standing::Served {
                last_error: Some(_),
                ..
            }
        ));
    }

    #[tokio::test]
    async fn a_spent_budget_is_reported_with_its_end() {
        let world = World::new();
        let budgets = Budgets::new(Arc::clone(world.records.storage()));
        for n in 0..40 {
            let name = HostPattern::parse(&format!("n{n}.example.org")).unwrap();
            let counted_order = ChargeableOrder {
                issuer: "ca",
                account: "ops",
                limits: Limits::PUBLIC,
                subject: &name,
                kind: OrderKind::First,
            };
            let charged = budgets.charge_order(counted_order, SystemTime::now()).await;
            let charges = charged.unwrap();
            charges.order(SystemTime::now()).await.unwrap();
            charges.settle(Usage::SIGNED, SystemTime::now()).await;
        }
        let standing = world.standing("www.example.org").await;
        assert!(matches!(standing, Standing::Held { .. }), "{standing}");
        assert!(
            standing
                .to_string()
                .contains("40 new certificates in 7 days")
        );
    }
}
