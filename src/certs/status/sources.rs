//! How a name stands as far as its records tell, beside a running proxy or without one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::refusal::Refusal;
use super::standing::{Because, Occasion, Standing};
use crate::certs::budget::{Budgets, Held, OrderKind, Purchase};
use crate::certs::certificate::{Certificate, CertificateError};
use crate::certs::issuer::{Issuer, RecordToSet};
use crate::certs::policy::{Issuers, Policy, Ruleset};
use crate::certs::public_suffix::Unsignable;
use crate::certs::records::{Attempts, Records, Stored};
use crate::certs::renewal::renew_at;
use crate::name::{HostName, HostPattern, NameMap};
use crate::storage;

/// What the standing of a name is made of: its records, and what the configuration says.
#[derive(Clone, Copy, Debug)]
pub struct StandingSources<'a> {
    /// Who may have a certificate.
    pub policies: &'a NameMap<Arc<Policy>>,
    /// Who signs.
    pub issuers: &'a Issuers,
    /// Certificates, attempts and budgets.
    pub records: &'a Records,
    /// The chains that operators bring, by site; none where the running proxy knows them.
    pub files: Option<&'a NameMap<PathBuf>>,
}

impl<'a> StandingSources<'a> {
    /// The sources beside what a running proxy knows.
    pub(crate) fn of(ruleset: &'a Ruleset, records: &'a Records) -> Self {
        Self {
            policies: &ruleset.policies,
            issuers: &ruleset.issuers,
            records,
            files: None,
        }
    }

    /// What stands between `name` and its certificate at `now`. Sends nothing and changes nothing.
    pub async fn standing(&self, name: &HostName, now: SystemTime) -> Standing {
        if let Some(cert) = self.files.and_then(|files| files.lookup(name.as_str())) {
            return Standing::FromFiles {
                cert: Some(cert.clone()),
                not_after: None,
            };
        }
        let Some(policy) = self.policies.lookup(name.as_str()) else {
            return Standing::refused(Because::UnknownName, Refusal::Unknown);
        };
        self.standing_of(&policy.subject(name), policy, now).await
    }

    /// The same for a pattern as a whole.
    pub async fn standing_of_pattern(&self, pattern: &HostPattern, now: SystemTime) -> Standing {
        match (pattern, self.policies.get(pattern)) {
            (HostPattern::Exact(name), _) => self.standing(name, now).await,
            (_, Some(policy)) => self.standing_of(pattern, policy, now).await,
            (_, None) => Standing::refused(Because::UnknownName, Refusal::Unknown),
        }
    }

    /// The TXT records that the operator has to set once for a name or a pattern to be proved, one for each issuer that
    /// looks for one.
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

    /// The same for what the certificates of a site are for.
    pub(crate) async fn standing_of(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        now: SystemTime,
    ) -> Standing {
        let found = self.of_records(subject, policy, now).await;
        found.unwrap_or_else(|error| Standing::refused(Because::Storage, error))
    }

    async fn of_records(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        now: SystemTime,
    ) -> Result<Standing, storage::Error> {
        let issuers = self.issuers.for_subject(subject, policy);
        let attempts = self.records.load_attempts(subject).await?;
        let mut attempts = attempts.filter(|attempts| attempts.in_vain() > 0);
        if let Some((issuer, certificate)) = self.valid(issuers, subject, now).await? {
            return Ok(served(issuer, &certificate, attempts));
        }
        if let Some(refused) = refused(issuers, subject, policy) {
            return Ok(refused);
        }
        if let Some(attempts) = attempts.take_if(|attempts| !attempts.is_due(now)) {
            return Ok(backing_off(attempts));
        }
        Ok(match (self.held(issuers, subject, now).await?, attempts) {
            (Some(held), last) => Standing::Held {
                until: held.until(),
                reason: self.issuers.named_held(held).to_string(),
                last_error: last.map(|attempts| attempts.last_error),
            },
            (None, Some(attempts)) => backing_off(attempts),
            (None, None) => Standing::Waiting {
                occasion: occasion(subject, policy),
            },
        })
    }

    /// The valid certificate that lasts the longest, and who signed it.
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
                .recall_plan(issuer.id(), subject, &certificate)
                .await;
            let found = usable.then_some((issuer.name(), certificate));
            let end = |(_, certificate): &(&str, Arc<Certificate>)| certificate.not_after();
            best = [best, found].into_iter().flatten().max_by_key(end);
        }
        Ok(best)
    }

    /// What holds an order back at each of the issuers that can sign, the soonest to end.
    async fn held(
        &self,
        issuers: &[Arc<dyn Issuer>],
        subject: &HostPattern,
        now: SystemTime,
    ) -> Result<Option<Held>, storage::Error> {
        let budgets = Budgets::new(Arc::clone(self.records.storage()));
        let mut soonest: Option<Held> = None;
        for issuer in issuers {
            if unsignable(issuer.as_ref(), subject).is_some() {
                continue;
            }
            let purchase = Purchase {
                issuer: issuer.id(),
                account: issuer.account(),
                limits: issuer.limits(),
                subject,
                kind: OrderKind::First,
            };
            let Some(held) = budgets.find_held(purchase, now).await? else {
                return Ok(None);
            };
            soonest = [soonest, Some(held)]
                .into_iter()
                .flatten()
                .min_by_key(Held::until);
        }
        Ok(soonest)
    }
}

/// Why an issuer cannot sign a name: it is a public one, and none of them can.
pub(crate) fn unsignable(issuer: &dyn Issuer, subject: &HostPattern) -> Option<Unsignable> {
    Unsignable::find(subject).filter(|_| issuer.is_public())
}

pub(crate) fn served(
    issuer: &str,
    certificate: &Certificate,
    attempts: Option<Attempts>,
) -> Standing {
    Standing::Served {
        issuer: issuer.to_owned(),
        not_after: certificate.not_after(),
        renew_at: renew_at(certificate),
        next_try: attempts.as_ref().map(Attempts::not_before),
        last_error: attempts.map(|attempts| attempts.last_error),
    }
}

/// Why none of the issuers can sign a name.
pub(crate) fn unsignable_by_all(
    issuers: &[Arc<dyn Issuer>],
    subject: &HostPattern,
) -> Option<Unsignable> {
    let mut obstacles = issuers
        .iter()
        .map(|issuer| unsignable(issuer.as_ref(), subject));
    let first = obstacles.next()??;
    obstacles
        .all(|obstacle| obstacle.is_some())
        .then_some(first)
}

fn refused(
    issuers: &[Arc<dyn Issuer>],
    subject: &HostPattern,
    policy: &Policy,
) -> Option<Standing> {
    if let Some(obstacle) = unsignable_by_all(issuers, subject) {
        return Some(Standing::refused(Because::NoPublicCa, obstacle));
    }
    let (Some(ask), HostPattern::Exact(name)) = (policy.ask(), subject) else {
        return None;
    };
    let error = ask.said(name)?.err()?;
    let because = if error.is_down() {
        Because::AskIsDown
    } else {
        Because::AskSaidNo
    };
    Some(Standing::refused(because, error))
}

pub(crate) fn backing_off(attempts: Attempts) -> Standing {
    Standing::BackingOff {
        until: attempts.not_before(),
        failures: attempts.in_vain(),
        reason: attempts.last_error,
        tried: attempts.tried,
    }
}

fn occasion(subject: &HostPattern, policy: &Policy) -> Occasion {
    match (policy.managed(), subject.is_local()) {
        (Some(_), _) => Occasion::Start,
        (None, true) => Occasion::LocalHandshake,
        (None, false) => Occasion::Handshake,
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
    use crate::certs::records::TriedIssuer;
    use crate::storage::FileStorage;

    /// A CA that nobody may ask.
    #[derive(Debug)]
    struct Closed {
        is_public: bool,
    }

    impl Issuer for Closed {
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
        records: Records,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let records = Records::new(Arc::new(FileStorage::open(dir.path()).unwrap()));
            Self { _dir: dir, records }
        }

        /// Beside a stopped proxy with a site of each kind.
        async fn standing(&self, name: &str) -> Standing {
            let gate = OnDemandOptions::new("http://localhost:1/".parse().unwrap());
            let gate = Arc::new(Ask::new(&gate).unwrap());
            let pattern = |text: &str| HostPattern::parse(text).unwrap();
            let configured =
                |text: &str| (pattern(text), Arc::new(Policy::configured(pattern(text))));
            let any = pattern("*.example.net");
            let policies = [
                configured("www.example.org"),
                configured("nas.lan"),
                configured("*.localhost"),
                (any.clone(), Arc::new(Policy::on_demand(any, gate))),
            ];
            let files = [(pattern("own.example.org"), PathBuf::from("own.pem"))];
            let sources = StandingSources {
                policies: &policies.into_iter().collect(),
                issuers: &Issuers {
                    public: vec![Arc::new(Closed { is_public: true })],
                    internal: Arc::new(Closed { is_public: false }),
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
    async fn what_nothing_was_recorded_of_is_told_by_the_configuration() {
        let world = World::new();
        for (name, part) in [
            ("www.example.org", "a running proxy does so"),
            ("a.example.net", "if the ask endpoint allows"),
            ("a.localhost", "this machine's own CA"),
            ("own.example.org", "own.pem"),
            ("nas.lan", ".lan is reserved"),
            ("unknown.example.com", "add it to [sites]"),
        ] {
            let standing = world.standing(name).await.to_string();
            assert!(standing.contains(part), "{name}: {standing}");
        }
    }

    #[tokio::test]
    async fn a_failure_is_told_until_its_time_and_a_certificate_above_all() {
        let world = World::new();
        let hour = Duration::from_secs(3600);
        let attempts = Attempts::default()
            .failed("open port 80".to_owned(), SystemTime::now(), hour)
            .tried_at(vec![TriedIssuer {
                issuer: "ca".to_owned(),
                challenges: vec!["http-01".to_owned()],
            }]);
        let (records, subject) = (&world.records, subject());
        records.store_attempts(&subject, &attempts).await.unwrap();
        let standing = world.standing("www.example.org").await.to_string();
        for part in ["1 failed try", "at ca by http-01", "open port 80"] {
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
    async fn a_spent_budget_is_told_with_its_end() {
        let world = World::new();
        let budgets = Budgets::new(Arc::clone(world.records.storage()));
        for n in 0..40 {
            let name = HostPattern::parse(&format!("n{n}.example.org")).unwrap();
            let purchase = Purchase {
                issuer: "ca",
                account: "ops",
                limits: Limits::PUBLIC,
                subject: &name,
                kind: OrderKind::First,
            };
            let paid = budgets.pay(purchase, SystemTime::now()).await.unwrap();
            let spending = paid.unwrap();
            spending.order(SystemTime::now()).await.unwrap();
            spending.settle(Usage::SIGNED, SystemTime::now()).await;
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
