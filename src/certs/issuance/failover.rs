//! Failover: asks the issuers of a name one after the other until one signs.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::error::{Error, FailedAttempt};
use super::failure_log::{Event, FailureLog, NameFailure};
use super::renewal_plans::RenewalPlans;
use super::request::CertRequest;
use crate::acme::Blame;
use crate::certs::budget::{Budgets, ChargeableOrder, OrderKind, Usage};
use crate::certs::certificate::{Certificate, CertificateError, Flaw, ReadPair};
use crate::certs::clock::Clock;
use crate::certs::issuer::{self, IssueRequest, Issuer, Pem, Predecessor};
use crate::certs::lru_table::LruTable;
use crate::certs::preflight::{Clearance, Reason};
use crate::certs::status::unsignable;
use crate::name::HostPattern;

/// A new certificate and its issuer.
#[derive(Debug)]
pub(super) struct Issued<'a> {
    pub(crate) issuer: &'a dyn Issuer,
    pub(crate) certificate: Arc<Certificate>,
    pub(crate) pem: Pem,
}

/// Limits how many pauses are remembered. A name whose pause was dropped still waits for its own back-off.
const MAX_PAUSES: usize = 16_384;

/// The key of a pause: an account at a CA, and the name for which it takes no orders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PauseKey {
    issuer: String,
    account: String,
    subject: HostPattern,
}

/// Asks issuers in their order, and remembers which of them take no orders for a name until when.
#[derive(Debug)]
pub(super) struct Failover {
    budgets: Budgets,
    renewal_plans: Arc<RenewalPlans>,
    clock: Clock,
    paused: LruTable<PauseKey, Instant>,
    log: Arc<FailureLog>,
}

impl Failover {
    /// Charges each order to `budgets`. `renewal_plans` knows the certificate that an order replaces.
    pub(crate) fn new(
        budgets: Budgets,
        renewal_plans: Arc<RenewalPlans>,
        log: Arc<FailureLog>,
        clock: Clock,
    ) -> Self {
        Self {
            budgets,
            renewal_plans,
            clock,
            paused: LruTable::new(MAX_PAUSES),
            log,
        }
    }

    fn note(&self, event: Event, subject: &HostPattern, issuer: &dyn Issuer, sentence: String) {
        let failure = NameFailure {
            sentence,
            issuer: Some(issuer.name().to_owned()),
            ..NameFailure::default()
        };
        self.log.note(event, subject, failure);
    }

    /// Asks one issuer after the other, as long as each failure is the issuer's own. If an order may fail, it is placed at
    /// the staging issuer first, and the staging certificate is thrown away.
    pub(crate) async fn run<'a>(
        &self,
        request: CertRequest<'a>,
    ) -> Result<Issued<'a>, FailedAttempt> {
        let (subject, issuers) = (request.subject, request.issuers());
        let (mut failures, mut doubt) = (Vec::new(), None);
        for (index, issuer) in issuers.iter().enumerate() {
            let error = match self.ask(issuer.as_ref(), request, &mut doubt).await {
                Ok(issued) => return Ok(issued),
                Err(error) => error,
            };
            let is_own = matches!(error.blame(), Blame::Ca | Blame::CaForName);
            if is_own && let Some(next) = issuers.get(index + 1) {
                let failure = NameFailure {
                    sentence: error.last_cause(),
                    issuer: Some(issuer.name().to_owned()),
                    next: Some(next.name().to_owned()),
                    ..NameFailure::default()
                };
                self.log.note(Event::IssuerFailed, subject, failure);
            }
            // The only issuer of a name needs no pause: the name's own back-off delays the next attempt, and is stored. Nor
            // does a spent budget, which has its own end and may concern only one of several accounts at the CA.
            let is_held = matches!(error, Error::Held(_));
            if is_own && !is_held && issuers.len() > 1 {
                let wait = error.retry_after(self.clock.now());
                self.pause(issuer.as_ref(), subject, wait);
            }
            failures.push((issuer.name().to_owned(), error));
            if !is_own {
                break;
            }
        }
        Err(FailedAttempt::of(failures, doubt))
    }

    async fn ask<'a>(
        &self,
        issuer: &'a dyn Issuer,
        request: CertRequest<'_>,
        doubt: &mut Option<Reason>,
    ) -> Result<Issued<'a>, Error> {
        let subject = request.subject;
        if let Some(wait) = self.pause_left(issuer, subject) {
            return Err(Error::RetryAfter { wait });
        }
        if let Some(obstacle) = unsignable(issuer, subject) {
            return Err(Error::NoPublicCa(obstacle));
        }
        let mut is_doubtful = request.has_failed;
        if let Some(preflight) = &request.ruleset().preflight {
            match preflight.check(issuer, subject).await {
                Ok(Clearance::Sure) => {}
                Ok(Clearance::Doubtful(reason)) => {
                    self.note(Event::MayFail, subject, issuer, reason.to_string());
                    *doubt = Some(reason);
                    is_doubtful = true;
                }
                // The CA may see another network than this machine does, so preflight never prevents a renewal.
                Err(reason) if request.served.is_some() => {
                    self.note(Event::MayFail, subject, issuer, reason.to_string());
                    is_doubtful = true;
                }
                Err(reason) => return Err(reason.into()),
            }
        }
        if is_doubtful && let Some(staging) = issuer.staging() {
            self.rehearse(staging, request).await?;
        }
        self.issue(issuer, request).await
    }

    /// Returns the time for which an issuer takes no orders for a name.
    fn pause_left(&self, issuer: &dyn Issuer, subject: &HostPattern) -> Option<Duration> {
        let key = PauseKey::new(issuer, subject);
        let until = self.paused.get(&key)?;
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            self.paused.remove(&key);
            return None;
        }
        Some(wait)
    }

    fn pause(&self, issuer: &dyn Issuer, subject: &HostPattern, wait: Option<Duration>) {
        if let Some(wait) = wait {
            let key = PauseKey::new(issuer, subject);
            self.paused.insert(key, Instant::now() + wait);
        }
    }

    /// Places the order at the staging issuer. A failure of the staging CA itself says nothing about the real one.
    async fn rehearse(&self, staging: &dyn Issuer, request: CertRequest<'_>) -> Result<(), Error> {
        let subject = request.subject;
        match self.issue(staging, request).await {
            Ok(_) => {
                staging.forget_order(subject).await;
                info!(
                    names = %subject, issuer = staging.name(),
                    "staging CA accepted the order; placing the real one"
                );
            }
            Err(error) if error.blame() == Blame::Ca => {
                self.note(Event::NotTried, subject, staging, error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Charges an order, places it, and settles with the budgets.
    async fn issue<'a>(
        &self,
        issuer: &'a dyn Issuer,
        request: CertRequest<'_>,
    ) -> Result<Issued<'a>, Error> {
        let replaces = self
            .renewal_plans
            .predecessor(request.plan_key(issuer))
            .await;
        let counted_order = ChargeableOrder {
            issuer: issuer.id(),
            account: issuer.account(),
            limits: issuer.limits(),
            subject: request.subject,
            kind: kind(replaces.as_ref()),
        };
        let charged = self
            .budgets
            .charge_order(counted_order, self.clock.now())
            .await;
        let charges = charged.map_err(|reason| Error::of(issuer, reason.into()))?;
        let order = IssueRequest {
            subject: request.subject,
            charges: &charges,
            clock: self.clock,
            replaces: replaces.as_ref(),
        };
        let issued = self.sign_another(issuer, request, order).await;
        let now = self.clock.now();
        let usage = issued.as_ref().err().map(|failure| failure.usage(now));
        charges.settle(usage.unwrap_or(Usage::SIGNED), now).await;
        issued.map_err(|failure| Error::of(issuer, failure))
    }

    /// Obtains a certificate that differs from the served one.
    async fn sign_another<'a>(
        &self,
        issuer: &'a dyn Issuer,
        request: CertRequest<'_>,
        order: IssueRequest<'_>,
    ) -> Result<Issued<'a>, issuer::Error> {
        let subject = request.subject;
        if request.has_failed {
            debug!(names = %subject, issuer = issuer.name(), "certificate is being obtained");
        } else {
            info!(names = %subject, issuer = issuer.name(), "certificate is being obtained");
        }
        let issued = self.sign(issuer, order).await?;
        let serial = issued.certificate.serial();
        if request
            .served
            .is_none_or(|served| served.serial() != serial)
        {
            return Ok(issued);
        }
        // A process stored this certificate and ended before it told the issuer. The order is done, so a new one is placed.
        issuer.forget_order(subject).await;
        self.sign(issuer, order).await
    }

    async fn sign<'a>(
        &self,
        issuer: &'a dyn Issuer,
        order: IssueRequest<'_>,
    ) -> Result<Issued<'a>, issuer::Error> {
        let subject = order.subject;
        let pem = issuer.issue(order).await?;
        let tidy = self.check(subject, &pem).and_then(|(certificate, flaws)| {
            let pem = pem.with_chain(&certificate.chain_pem())?;
            Ok((certificate, flaws, pem))
        });
        match tidy {
            Ok((certificate, flaws, pem)) => {
                tell_flaws(issuer, subject, flaws).await;
                Ok(Issued {
                    issuer,
                    certificate: Arc::new(certificate),
                    pem,
                })
            }
            Err(unusable) => {
                issuer.forget_order(subject).await;
                Err(unusable.into())
            }
        }
    }

    /// Checks a certificate that a CA has signed, and returns it with its flaws. It has cost an order, so it is used whenever
    /// it can serve any client.
    fn check(
        &self,
        subject: &HostPattern,
        pem: &Pem,
    ) -> Result<(Certificate, Vec<Flaw>), CertificateError> {
        let ca_time = pem.ca_time();
        let pem = pem.as_str().as_bytes();
        let ReadPair {
            certificate, flaws, ..
        } = Certificate::read_pair(pem, pem)?;
        match certificate.verify_for(subject, self.clock.now()) {
            Ok(()) => {}
            // The CA signs nothing for the future, so this machine's clock must be behind.
            Err(early @ CertificateError::NotYetValid(_)) => {
                warn!(names = %subject, error = %early, "certificate is served before its validity begins");
            }
            // By the CA's clock it is valid, so this machine's clock must be ahead.
            Err(expired @ CertificateError::Expired(end)) if ca_time.is_some_and(|at| at < end) => {
                warn!(names = %subject, error = %expired, "new certificate is served although it looks expired; check this machine's clock");
            }
            Err(unusable) => return Err(unusable),
        }
        Ok((certificate, flaws))
    }
}

/// Logs the flaws of a certificate that a CA has signed.
async fn tell_flaws(issuer: &dyn Issuer, subject: &HostPattern, flaws: Vec<Flaw>) {
    for flaw in flaws {
        let is_told = match flaw {
            Flaw::LeftOut { .. } => {
                info!(names = %subject, reason = %flaw, "certificate left out of a chain");
                false
            }
            // Most CAs leave out their root, and that of a private one is not among the system's.
            Flaw::MissingIssuer { is_leaf_alone, .. } if is_leaf_alone || issuer.is_public() => {
                let flaw = flaw.clone();
                let concerns = spawn_blocking(move || flaw.concerns_clients()).await;
                concerns.unwrap_or(true)
            }
            Flaw::MissingIssuer { .. } => false,
            Flaw::MustStaple | Flaw::CommonNameOnly => true,
        };
        if is_told {
            warn!(names = %subject, reason = %flaw, "certificate is served, but clients may reject it");
        }
    }
}

impl PauseKey {
    fn new(issuer: &dyn Issuer, subject: &HostPattern) -> Self {
        Self {
            issuer: issuer.id().to_owned(),
            account: issuer.account().to_owned(),
            subject: subject.clone(),
        }
    }
}

/// Returns how an order counts against the CA's limits, given the certificate that it replaces.
fn kind(replaced: Option<&Predecessor>) -> OrderKind {
    match replaced {
        Some(replaced) if replaced.has_window && replaced.account.is_some() => {
            OrderKind::Replacement
        }
        Some(_) => OrderKind::Renewal,
        None => OrderKind::First,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::SystemTime;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::super::request::Purpose;
    use super::*;
    use crate::acme::{self, Step};
    use crate::certs::budget::{Limit, Limits};
    use crate::certs::certificate::TestCa;
    use crate::certs::policy::{AppliedPolicy, Issuers, Policy, Ruleset};
    use crate::certs::store::CertificateStore;
    use crate::name::NameMap;
    use crate::storage::{FileStorage, Storage};

    /// Fails with `failure` if the test sets one, else signs. Counts its orders.
    #[derive(Debug)]
    struct TestIssuer {
        id: &'static str,
        failure: Mutex<Option<fn() -> issuer::Error>>,
        staging: Option<Arc<Self>>,
        limits: Mutex<Limits>,
        asked: AtomicUsize,
        forgotten: AtomicUsize,
    }

    impl TestIssuer {
        fn new(id: &'static str, failure: Option<fn() -> issuer::Error>) -> Arc<Self> {
            Self::with_staging(id, failure, None)
        }

        fn with_staging(
            id: &'static str,
            failure: Option<fn() -> issuer::Error>,
            staging: Option<Arc<Self>>,
        ) -> Arc<Self> {
            Arc::new(Self {
                id,
                failure: Mutex::new(failure),
                staging,
                limits: Mutex::new(Limits::NONE),
                asked: AtomicUsize::new(0),
                forgotten: AtomicUsize::new(0),
            })
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl Issuer for TestIssuer {
        fn id(&self) -> &str {
            self.id
        }

        fn issue<'a>(
            &'a self,
            request: IssueRequest<'a>,
        ) -> BoxFuture<'a, Result<Pem, issuer::Error>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let outcome = match *self.failure.lock().unwrap() {
                Some(failure) => Err(failure()),
                None => {
                    request
                        .charges
                        .order(request.clock.now())
                        .now_or_never()
                        .unwrap()
                        .unwrap();
                    let name = request.subject.to_string();
                    Ok(Pem::new(&TestCa::new().sign(&[&name], -60..3600), ""))
                }
            };
            async move { outcome }.boxed()
        }

        fn limits(&self) -> Limits {
            *self.limits.lock().unwrap()
        }

        fn forget_order<'a>(&'a self, _: &'a HostPattern) -> BoxFuture<'a, ()> {
            self.forgotten.fetch_add(1, Ordering::SeqCst);
            async {}.boxed()
        }

        fn staging(&self) -> Option<&dyn Issuer> {
            self.staging
                .as_deref()
                .map(|staging| staging as &dyn Issuer)
        }
    }

    fn failover() -> Failover {
        let dir = tempfile::tempdir().unwrap();
        let storage = FileStorage::open(dir.path()).unwrap();
        failover_on(storage)
    }

    fn failover_on(storage: FileStorage) -> Failover {
        let storage: Arc<dyn Storage> = Arc::new(storage);
        let renewal_plans =
            RenewalPlans::new(CertificateStore::new(Arc::clone(&storage)), Clock::system());
        Failover::new(
            Budgets::new(storage),
            Arc::new(renewal_plans),
            Arc::default(),
            Clock::system(),
        )
    }

    fn ca_failure() -> issuer::Error {
        issuer::Error::Certificate(CertificateError::KeyMismatch)
    }

    fn rate_limited() -> issuer::Error {
        issuer::Error::Acme(acme::Error::Refused {
            step: Step::NewOrder,
            status: http::StatusCode::TOO_MANY_REQUESTS,
            problem: serde_json::from_str("{}").unwrap(),
            retry_after: Some(Duration::from_secs(3600)),
        })
    }

    fn local_failure() -> issuer::Error {
        issuer::Error::NoSubject
    }

    async fn run(
        failover: &Failover,
        issuers: &[Arc<TestIssuer>],
        rehearsal: bool,
    ) -> Result<&'static str, Error> {
        let subject = HostPattern::parse("www.example.org").unwrap();
        let issuers: Vec<Arc<dyn Issuer>> = issuers
            .iter()
            .map(|issuer| Arc::clone(issuer) as Arc<dyn Issuer>)
            .collect();
        let ruleset = Ruleset {
            policies: NameMap::new(),
            issuers: Issuers {
                internal: Arc::clone(&issuers[0]),
                public: issuers,
            },
            preflight: None,
            on_cert: None,
        };
        let applied = AppliedPolicy {
            ruleset: Arc::new(ruleset),
            policy: Arc::new(Policy::configured(subject.clone())),
        };
        let request = CertRequest {
            has_failed: rehearsal,
            ..CertRequest::new(&subject, &applied, Purpose::Renew)
        };
        let issued = failover.run(request).await;
        let issued = issued.map_err(|failed| failed.error)?;
        let found = ["one", "two"]
            .into_iter()
            .find(|id| *id == issued.issuer.id());
        Ok(found.unwrap())
    }

    #[tokio::test]
    async fn pauses_of_many_names_take_limited_memory() {
        let (failover, one) = (failover(), TestIssuer::new("one", None));
        let name = |n| HostPattern::parse(&format!("n{n}.example.org")).unwrap();
        for n in 0..=MAX_PAUSES {
            failover.pause(one.as_ref(), &name(n), Some(Duration::from_secs(3600)));
        }
        assert_eq!(failover.paused.len(), MAX_PAUSES);
        let last = name(MAX_PAUSES);
        assert!(failover.pause_left(one.as_ref(), &last).is_some());
    }

    #[tokio::test]
    async fn the_next_issuer_signs_when_a_failure_is_the_issuers_own() {
        let failover = failover();
        let two = TestIssuer::new("two", None);
        for (failure, outcome) in [
            (None, "one"),
            (Some(ca_failure as fn() -> issuer::Error), "two"),
        ] {
            let one = TestIssuer::new("one", failure);
            let signed = run(&failover, &[one, Arc::clone(&two)], false).await;
            assert_eq!(signed.unwrap(), outcome);
        }
        let one = TestIssuer::new("one", Some(local_failure));
        let error = run(&failover, &[one, Arc::clone(&two)], false).await;
        assert!(matches!(
            error,
            Err(Error::Issuer(issuer::Error::NoSubject))
        ));
        assert_eq!(two.asked(), 1);
    }

    #[tokio::test]
    async fn all_failures_are_reported_together() {
        let one = TestIssuer::new("one", Some(rate_limited));
        let two = TestIssuer::new("two", Some(ca_failure));

        let error = run(&failover(), &[one, two], false).await.unwrap_err();

        let sentence = error.to_string();
        assert!(
            sentence.starts_with(&format!("one: {}; two: ", rate_limited())),
            "{sentence}"
        );
        assert!(error.has_spent_certificate());
        assert_eq!(
            error.retry_after(SystemTime::now()),
            None,
            "the second may be asked sooner"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_issuer_with_a_retry_after_is_skipped_until_then() {
        let failover = failover();
        let one = TestIssuer::new("one", Some(rate_limited));
        let issuers = [Arc::clone(&one), TestIssuer::new("two", None)];
        for _ in 0..3 {
            assert_eq!(run(&failover, &issuers, false).await.unwrap(), "two");
        }
        assert_eq!(one.asked(), 1);

        *one.failure.lock().unwrap() = None;
        tokio::time::advance(Duration::from_secs(3601)).await;
        assert_eq!(run(&failover, &issuers, false).await.unwrap(), "one");
    }

    #[tokio::test]
    async fn a_failed_rehearsal_spends_no_real_order() {
        for (failure, orders) in [
            (None, 1),
            // A failure of the staging CA itself says nothing about the name.
            (Some(ca_failure as fn() -> issuer::Error), 1),
            (Some(local_failure), 0),
        ] {
            let staging = TestIssuer::new("staging", failure);
            let one = TestIssuer::with_staging("one", None, Some(Arc::clone(&staging)));
            let issuers = [Arc::clone(&one)];

            let outcome = run(&failover(), &issuers, true).await;

            assert_eq!(outcome.is_ok(), orders == 1);
            assert_eq!((staging.asked(), one.asked()), (1, orders));
            let thrown_away = staging.forgotten.load(Ordering::SeqCst);
            assert_eq!(thrown_away, usize::from(failure.is_none()));
            run(&failover(), &issuers, false).await.unwrap();
            assert_eq!(staging.asked(), 1, "a first attempt needs no rehearsal");
        }
    }

    #[tokio::test]
    async fn a_spent_budget_at_one_issuer_lets_the_next_one_sign() {
        let dir = tempfile::tempdir().unwrap();
        let storage = FileStorage::open(dir.path()).unwrap();
        let failover = failover_on(storage);
        let issuers = [TestIssuer::new("one", None), TestIssuer::new("two", None)];
        let limit = Limit {
            count: 1,
            window: Duration::from_secs(3600),
        };
        for issuer in &issuers {
            *issuer.limits.lock().unwrap() = Limits {
                certificates: Some(limit),
                ..Limits::NONE
            };
        }

        assert_eq!(run(&failover, &issuers, false).await.unwrap(), "one");
        assert_eq!(run(&failover, &issuers, false).await.unwrap(), "two");
        let error = run(&failover, &issuers, false).await.unwrap_err();

        let Error::All(failures) = error else {
            panic!("{error}");
        };
        assert!(failures.iter().all(|(_, error)| error.was_skipped()));
        assert_eq!((issuers[0].asked(), issuers[1].asked()), (1, 1));
    }
}
