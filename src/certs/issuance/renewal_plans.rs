//! The renewal plans of all certificates: asks CAs when to renew (RFC 9773), and stores the answers. The time itself is
//! computed in `renewal`, and `maintenance/scheduler` waits for it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dashmap::DashMap;
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

use crate::acme::RenewalInfo;
use crate::backoff::spread;
use crate::certs::certificate::Certificate;
use crate::certs::clock::Clock;
use crate::certs::issuer::{Error, Issuer, Predecessor};
use crate::certs::renewal::{RenewalPlan, WindowChange, renew_at};
use crate::certs::store::{CertificateStore, Stored};
use crate::name::HostPattern;

/// Limits how many questions are open at once.
const OPEN_QUESTIONS: usize = 4;

/// The time over which the first questions of all names are spread after a start.
pub(crate) const FIRST_QUESTIONS: Duration = Duration::from_secs(6 * 3600);

/// The time over which the first questions about new certificates are spread.
const AFTER_ISSUANCE: Duration = Duration::from_secs(3600);

/// Time for which a CA is not asked after it could not be reached.
const UNREACHABLE_PAUSE: Duration = Duration::from_secs(30 * 60);

/// Time after which a question is repeated that the CA answered with nonsense.
const AFTER_INVALID_ANSWER: Duration = Duration::from_secs(6 * 3600);

const SHORTEST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The renewal plans in storage, and the questions to the CAs. When a question fails, the plan stays as it was.
#[derive(Debug)]
pub(super) struct RenewalPlans {
    records: CertificateStore,
    clock: Clock,
    open_questions: Semaphore,
    /// Unreachable CAs by issuer id, with the time until which they are not asked.
    paused: DashMap<String, SystemTime>,
}

/// The key of a renewal plan: the issuer and the subject of the certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanKey<'a> {
    pub(super) issuer: &'a str,
    pub(super) subject: &'a HostPattern,
    /// `true` if the certificate and its plan are stored.
    pub(super) is_kept: bool,
}

impl RenewalPlans {
    pub(crate) fn new(records: CertificateStore, clock: Clock) -> Self {
        Self {
            records,
            clock,
            open_questions: Semaphore::new(OPEN_QUESTIONS),
            paused: DashMap::new(),
        }
    }

    /// Applies the stored plan to a certificate that was loaded from storage.
    pub(super) async fn restore(&self, key: PlanKey<'_>, certificate: &Certificate) {
        self.ask_within(FIRST_QUESTIONS, 20, certificate);
        if let Some(plan) = self.plan(key, certificate).await {
            certificate.renew_at(plan.renew_at());
        }
    }

    /// Makes the plan for a certificate that has just been issued.
    pub(crate) async fn create_plan(
        &self,
        key: PlanKey<'_>,
        certificate: &Certificate,
        account: Option<&str>,
    ) {
        let now = self.clock.now();
        self.ask_within(AFTER_ISSUANCE, 1000, certificate);
        let mut plan = RenewalPlan::new(key.subject, certificate, now);
        plan.account = account.map(str::to_owned);
        if let Some(previous) = self.stored_plan(key).await {
            plan = previous.successor(plan, now);
        }
        certificate.renew_at(plan.renew_at());
        self.store_plan(key, &plan).await;
    }

    /// Sets a random time for the first question: within `limit`, and within `1 / part` of the time that the certificate is
    /// still valid.
    fn ask_within(&self, limit: Duration, part: u32, certificate: &Certificate) {
        let now = self.clock.now();
        let left = certificate.not_after().duration_since(now);
        let within = limit.min(left.unwrap_or_default() / part);
        certificate.ask_at(Some(now + within.mul_f64(fastrand::f64())));
    }

    /// Asks the CA when to renew a certificate, and sets the time of the next question. An expired certificate is not asked about.
    pub(crate) async fn ask(
        &self,
        issuer: &Arc<dyn Issuer>,
        key: PlanKey<'_>,
        certificate: &Certificate,
    ) {
        let is_valid = certificate.not_after() > self.clock.now();
        let Some(id) = certificate.id().filter(|_| is_valid) else {
            return certificate.ask_at(None);
        };
        let _permit = self.open_questions.acquire().await;
        // Checked only now: a question before this one may have found that the CA is unreachable.
        if let Some(until) = self.paused_until(key.issuer, self.clock.now()) {
            return certificate.ask_at(Some(until + after_pause()));
        }
        let next = match issuer.renewal_info(&id).await {
            Ok(Some(info)) => {
                self.apply_info(key, certificate, &info).await;
                let wait = info.ask_again_after;
                // Never sooner than the CA says, and out of step with other names.
                Some(wait + wait.mul_f64(0.25 * fastrand::f64()))
            }
            Ok(None) => None,
            Err(error) => {
                let (names, issuer) = (key.subject, issuer.name());
                debug!(%names, issuer, %error, "the CA did not say when to renew");
                Some(self.retry_delay(key.issuer, &error))
            }
        };
        certificate.ask_at(next.map(|wait| self.clock.now() + wait));
    }

    /// Returns the certificate that a new one would replace at the CA; `None` unless this CA is known to have signed it.
    pub(crate) async fn predecessor(&self, key: PlanKey<'_>) -> Option<Predecessor> {
        let plan = self.stored_plan(key).await?;
        let stored = self.records.load_certificate(key.issuer, key.subject);
        let Ok(Stored::Found(certificate)) = stored.await else {
            return None;
        };
        let has_window = plan.window.is_some();
        let is_known = plan.is_for(&certificate) && (has_window || plan.account.is_some());
        Some(Predecessor {
            id: certificate.id().filter(|_| is_known)?,
            account: plan.account,
            has_window,
        })
    }

    async fn apply_info(&self, key: PlanKey<'_>, certificate: &Certificate, info: &RenewalInfo) {
        let stored = self.plan(key, certificate).await;
        let mut plan =
            stored.unwrap_or_else(|| RenewalPlan::new(key.subject, certificate, self.clock.now()));
        let change = plan.apply(info);
        certificate.renew_at(plan.renew_at());
        log_change(key.subject, change, info, renew_at(certificate));
        if matches!(change, WindowChange::First | WindowChange::Moved) {
            self.store_plan(key, &plan).await;
        }
    }

    /// Returns the time until a failed question is repeated. Pauses the issuer if it could not be reached.
    fn retry_delay(&self, issuer: &str, error: &Error) -> Duration {
        let retry_after = error.retry_after(self.clock.now());
        let retry_after = retry_after.map(|wait| wait.clamp(SHORTEST_WAIT, LONGEST_WAIT));
        if !matches!(error, Error::Acme(error) if error.is_transient()) {
            return retry_after.unwrap_or_else(|| spread(AFTER_INVALID_ANSWER, 0.2));
        }
        let wait = retry_after.unwrap_or_else(|| spread(UNREACHABLE_PAUSE, 0.2));
        let until = self.clock.now() + wait;
        self.paused.insert(issuer.to_owned(), until);
        wait + after_pause()
    }

    fn paused_until(&self, issuer: &str, now: SystemTime) -> Option<SystemTime> {
        let until = *self.paused.get(issuer)?;
        // After the clock was set back, a pause must not last longer than a CA may ask for.
        (until > now && until < now + LONGEST_WAIT * 2).then_some(until)
    }

    async fn plan(&self, key: PlanKey<'_>, certificate: &Certificate) -> Option<RenewalPlan> {
        let plan = self.stored_plan(key).await;
        plan.filter(|plan| plan.is_for(certificate))
    }

    async fn stored_plan(&self, key: PlanKey<'_>) -> Option<RenewalPlan> {
        if !key.is_kept {
            return None;
        }
        let loaded = self.records.load_plan(key.issuer, key.subject).await;
        let failed =
            |error: &_| debug!(names = %key.subject, %error, "renewal plan cannot be read");
        loaded.inspect_err(failed).ok().flatten()
    }

    async fn store_plan(&self, key: PlanKey<'_>, plan: &RenewalPlan) {
        if !key.is_kept {
            return;
        }
        let stored = self.records.store_plan(key.issuer, key.subject, plan);
        if let Err(error) = stored.await {
            warn!(names = %key.subject, %error, "the renewal plan is kept in memory only");
        }
    }
}

fn log_change(names: &HostPattern, change: WindowChange, info: &RenewalInfo, renew_at: SystemTime) {
    let [start, end, renew_at] = [info.start, info.end, renew_at]
        .map(|time| humantime::format_rfc3339_seconds(time).to_string());
    match (change, &info.explanation) {
        (WindowChange::None, _) => (),
        (WindowChange::TooLate, _) => {
            debug!(%names, start, end, "the CA's renewal window ends too late and is ignored")
        }
        (WindowChange::First, None) => {
            debug!(%names, start, end, renew_at, "the CA has set the renewal time")
        }
        (_, Some(explanation)) => {
            warn!(%names, start, end, renew_at, explanation, "the CA has moved the renewal time")
        }
        (WindowChange::Moved, None) => {
            info!(%names, start, end, renew_at, "the CA has moved the renewal time")
        }
    }
}

/// Returns a random delay for questions that a pause has put off. On average it is as long as the usual time between two
/// questions, so that the CA is not flooded when it answers again.
fn after_pause() -> Duration {
    FIRST_QUESTIONS.mul_f64(0.5 + fastrand::f64())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::acme::{self, CertId};
    use crate::certs::certificate::TestCa;
    use crate::certs::issuer::{IssueRequest, Pem};
    use crate::certs::renewal::Window;
    use crate::storage::FileStorage;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Gives the answers of the test one after the other, and then none.
    #[derive(Debug, Default)]
    struct TestIssuer(Mutex<VecDeque<Result<RenewalInfo, Error>>>);

    impl Issuer for TestIssuer {
        fn id(&self) -> &'static str {
            "test"
        }

        fn issue<'a>(&'a self, _: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
            unreachable!()
        }

        fn renewal_info<'a>(
            &'a self,
            _: &'a CertId,
        ) -> BoxFuture<'a, Result<Option<RenewalInfo>, Error>> {
            let answer = self.0.lock().unwrap().pop_front();
            async move { answer.transpose() }.boxed()
        }
    }

    struct World {
        dir: tempfile::TempDir,
        issuer: Arc<TestIssuer>,
        subject: HostPattern,
        certificate: Certificate,
    }

    impl World {
        /// A world with a certificate that is valid during `life`, in seconds from now.
        fn new(life: std::ops::Range<i64>) -> Self {
            let pem = TestCa::new().sign(&["a.example"], life);
            Self {
                dir: tempfile::tempdir().unwrap(),
                issuer: Arc::default(),
                subject: HostPattern::parse("a.example").unwrap(),
                certificate: Certificate::from_pem(pem.as_bytes()).unwrap(),
            }
        }

        /// The plans, as a process finds them that has just started.
        fn renewals(&self) -> RenewalPlans {
            let storage = FileStorage::open(self.dir.path()).unwrap();
            RenewalPlans::new(CertificateStore::new(Arc::new(storage)), Clock::system())
        }

        fn key(&self) -> PlanKey<'_> {
            PlanKey {
                issuer: "test",
                subject: &self.subject,
                is_kept: true,
            }
        }

        async fn ask(&self, renewals: &RenewalPlans, answer: Result<RenewalInfo, Error>) {
            self.issuer.0.lock().unwrap().push_back(answer);
            let issuer: Arc<dyn Issuer> = self.issuer.clone();
            let question = renewals.ask(&issuer, self.key(), &self.certificate);
            question.await;
        }

        /// Returns the seconds until the CA is asked again.
        fn wait(&self) -> Option<u64> {
            let next = self.certificate.next_question()?;
            let wait = next.duration_since(SystemTime::now());
            Some(wait.unwrap_or_default().as_secs())
        }
    }

    fn info(start: SystemTime, length: Duration) -> RenewalInfo {
        RenewalInfo {
            start,
            end: start + length,
            explanation: None,
            ask_again_after: HOUR,
        }
    }

    #[tokio::test]
    async fn the_point_in_the_window_outlasts_a_restart_and_moves_with_the_window() {
        let world = World::new(0..90 * 24 * 3600);
        let start = SystemTime::now() + 24 * HOUR;
        let renewals = world.renewals();
        renewals
            .create_plan(world.key(), &world.certificate, None)
            .await;
        world.ask(&renewals, Ok(info(start, 48 * HOUR))).await;
        let point = renew_at(&world.certificate);
        assert!(start - HOUR < point && point < start + 48 * HOUR);
        assert!((3590..4510).contains(&world.wait().unwrap()));

        let renewals = world.renewals();
        world.certificate.renew_at(SystemTime::now());
        renewals.restore(world.key(), &world.certificate).await;
        assert_eq!(renew_at(&world.certificate), point);
        world.ask(&renewals, Ok(info(start, 48 * HOUR))).await;
        assert_eq!(renew_at(&world.certificate), point);

        world
            .ask(&renewals, Ok(info(start - 200 * HOUR, HOUR)))
            .await;
        assert!(renew_at(&world.certificate) < SystemTime::now());
    }

    #[tokio::test]
    async fn a_ca_that_does_not_answer_changes_nothing_and_is_paused() {
        let world = World::new(0..90 * 24 * 3600);
        let renewals = world.renewals();
        let start = SystemTime::now() + 24 * HOUR;
        world.ask(&renewals, Ok(info(start, HOUR))).await;
        let point = renew_at(&world.certificate);
        let down = || {
            Err(Error::Acme(acme::Error::Timeout {
                step: acme::Step::RenewalInfo,
                url: "https://ca.test/".parse().unwrap(),
                limit: HOUR,
            }))
        };
        world.ask(&renewals, down()).await;
        assert!((3 * 3600..10 * 3600).contains(&world.wait().unwrap()));

        // A paused CA is not asked, so this answer is not fetched.
        world
            .ask(&renewals, Ok(info(start - 200 * HOUR, HOUR)))
            .await;
        assert_eq!(renew_at(&world.certificate), point);
        assert_eq!(world.issuer.0.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_invalid_answer_is_asked_for_again_after_hours_and_no_answer_never() {
        let world = World::new(0..90 * 24 * 3600);
        let renewals = world.renewals();
        let by_lifetime = renew_at(&world.certificate);
        let nonsense = Err(Error::Acme(acme::Error::NoCertificate));
        world.ask(&renewals, nonsense).await;
        assert!(world.wait().unwrap() > 4 * 3600);
        let issuer: Arc<dyn Issuer> = world.issuer.clone();
        renewals.ask(&issuer, world.key(), &world.certificate).await;
        assert_eq!(world.wait(), None);
        assert_eq!(renew_at(&world.certificate), by_lifetime);
    }

    #[tokio::test]
    async fn an_expired_certificate_is_not_asked_about() {
        let world = World::new(-7200..-60);
        let answer = Ok(info(SystemTime::now(), HOUR));
        world.ask(&world.renewals(), answer).await;
        assert_eq!(world.issuer.0.lock().unwrap().len(), 1);
        assert_eq!(world.wait(), None);
    }

    #[tokio::test]
    async fn the_first_questions_after_a_start_are_spread() {
        let world = World::new(0..90 * 24 * 3600);
        let renewals = world.renewals();
        let mut waits = Vec::new();
        for _ in 0..50 {
            renewals.restore(world.key(), &world.certificate).await;
            waits.push(world.wait().unwrap());
        }
        waits.sort_unstable();
        assert!(waits[0] < 7200 && waits[49] > 14_400 && waits[49] <= 21_600);
    }

    #[tokio::test]
    async fn a_predecessor_needs_the_account_that_ordered_it() {
        let world = World::new(0..3600);
        let pem = TestCa::new().sign(&["a.example"], 0..3600);
        let stored = Certificate::from_pem(pem.as_bytes()).unwrap();
        let renewals = world.renewals();
        let written = renewals
            .records
            .store_certificate("test", &world.subject, &pem);
        written.await.unwrap();
        for (account, expected) in [(None, false), (Some("https://ca.test/1"), true)] {
            renewals.create_plan(world.key(), &stored, account).await;
            let found = renewals.predecessor(world.key()).await;
            assert_eq!(found.is_some(), expected);
            assert!(found.is_none_or(|found| Some(found.id) == stored.id()));
        }
        // A certificate that another program has ordered is known by its renewal window.
        renewals.create_plan(world.key(), &stored, None).await;
        let mut plan = renewals.plan(world.key(), &stored).await.unwrap();
        plan.window = Some(Window { start: 1, end: 2 });
        renewals.store_plan(world.key(), &plan).await;
        let found = renewals.predecessor(world.key()).await.unwrap();
        assert_eq!((found.account, found.has_window), (None, true));
        // The plan of another certificate says nothing about this one's account.
        renewals
            .create_plan(world.key(), &world.certificate, Some("https://ca.test/1"))
            .await;
        assert_eq!(renewals.predecessor(world.key()).await, None);
    }
}
