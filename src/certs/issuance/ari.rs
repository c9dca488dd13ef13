//! Keeps the plans of all renewals: what the CA says about them is asked for and remembered.

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
use crate::certs::records::{Records, Stored};
use crate::certs::renewal::{Followed, RenewalPlan, renew_at};
use crate::name::HostPattern;

/// How many questions are open at once.
const OPEN_QUESTIONS: usize = 4;

/// After a start, when the first questions of all names would come at once, they are spread over
/// this time.
pub(crate) const FIRST_QUESTIONS: Duration = Duration::from_secs(6 * 3600);

/// A new certificate is asked about soon, and many of them not at once.
const AFTER_ISSUANCE: Duration = Duration::from_secs(3600);

/// How long a CA is left alone that cannot be reached.
const REST: Duration = Duration::from_secs(30 * 60);

/// When a question that the CA answers with nonsense is asked again.
const AFTER_NONSENSE: Duration = Duration::from_secs(6 * 3600);

const SHORTEST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The plans in storage, and the questions to the CAs. No failure of a question ever disturbs: the
/// plan stays what it was.
#[derive(Debug)]
pub(super) struct Ari {
    records: Records,
    clock: Clock,
    turns: Semaphore,
    /// CAs that cannot be reached, by issuer, and until when they are left alone.
    resting: DashMap<String, SystemTime>,
}

/// The key of a renewal plan: who signed a certificate for which name.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanKey<'a> {
    pub(super) issuer: &'a str,
    pub(super) subject: &'a HostPattern,
    /// Whether the certificate and its plan are kept in storage.
    pub(super) is_kept: bool,
}

impl Ari {
    pub(crate) fn new(records: Records, clock: Clock) -> Self {
        Self {
            records,
            clock,
            turns: Semaphore::new(OPEN_QUESTIONS),
            resting: DashMap::new(),
        }
    }

    /// Puts the plan that is kept for a certificate into effect, as after a restart.
    pub(super) async fn recall(&self, key: PlanKey<'_>, certificate: &Certificate) {
        let now = self.clock.now();
        let left = certificate.not_after().duration_since(now);
        let within = FIRST_QUESTIONS.min(left.unwrap_or_default() / 20);
        certificate.ask_at(Some(now + within.mul_f64(fastrand::f64())));
        if let Some(plan) = self.plan(key, certificate).await {
            certificate.renew_at(plan.renew_at());
        }
    }

    /// Makes the plan for a certificate that has just been obtained.
    pub(crate) async fn begin(
        &self,
        key: PlanKey<'_>,
        certificate: &Certificate,
        account: Option<&str>,
    ) {
        let now = self.clock.now();
        let left = certificate.not_after().duration_since(now);
        let within = AFTER_ISSUANCE.min(left.unwrap_or_default() / 1000);
        certificate.ask_at(Some(now + within.mul_f64(fastrand::f64())));
        let mut plan = RenewalPlan::new(key.subject, certificate, now);
        plan.account = account.map(str::to_owned);
        if let Some(former) = self.kept(key).await {
            plan = former.successor(plan, now);
        }
        certificate.renew_at(plan.renew_at());
        self.keep(key, &plan).await;
    }

    /// Asks the CA when a certificate is to be renewed, unless it is too late for that.
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
        let _turn = self.turns.acquire().await;
        // After the wait for a turn: what the questions before this one have found out spares it.
        if let Some(until) = self.rest_of(key.issuer, self.clock.now()) {
            return certificate.ask_at(Some(until + after_rest()));
        }
        let next = match issuer.renewal_info(&id).await {
            Ok(Some(info)) => {
                self.follow(key, certificate, &info).await;
                let wait = info.ask_again_after;
                // Never sooner than the CA says, and less and less in step with other names.
                Some(wait + wait.mul_f64(0.25 * fastrand::f64()))
            }
            Ok(None) => None,
            Err(error) => {
                let (names, issuer) = (key.subject, issuer.name());
                debug!(%names, issuer, %error, "the CA does not say when to renew");
                Some(self.patience(key.issuer, &error))
            }
        };
        certificate.ask_at(next.map(|wait| self.clock.now() + wait));
    }

    /// What a new certificate would replace at the CA. None when it is not known that this CA has signed it.
    pub(crate) async fn predecessor(&self, key: PlanKey<'_>) -> Option<Predecessor> {
        let plan = self.kept(key).await?;
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

    async fn follow(&self, key: PlanKey<'_>, certificate: &Certificate, info: &RenewalInfo) {
        let kept = self.plan(key, certificate).await;
        let mut plan =
            kept.unwrap_or_else(|| RenewalPlan::new(key.subject, certificate, self.clock.now()));
        let followed = plan.follow(info);
        certificate.renew_at(plan.renew_at());
        log_followed(key.subject, followed, info, renew_at(certificate));
        if matches!(followed, Followed::First | Followed::Moved) {
            self.keep(key, &plan).await;
        }
    }

    /// How long until the CA is asked again after it gave no answer.
    fn patience(&self, issuer: &str, error: &Error) -> Duration {
        let asked = error.retry_after(self.clock.now());
        let asked = asked.map(|wait| wait.clamp(SHORTEST_WAIT, LONGEST_WAIT));
        if !matches!(error, Error::Acme(error) if error.is_transient()) {
            return asked.unwrap_or_else(|| spread(AFTER_NONSENSE, 0.2));
        }
        let wait = asked.unwrap_or_else(|| spread(REST, 0.2));
        let until = self.clock.now() + wait;
        self.resting.insert(issuer.to_owned(), until);
        wait + after_rest()
    }

    fn rest_of(&self, issuer: &str, now: SystemTime) -> Option<SystemTime> {
        let until = *self.resting.get(issuer)?;
        // A clock that was set back does not make a rest longer than any CA may ask for.
        (until > now && until < now + LONGEST_WAIT * 2).then_some(until)
    }

    async fn plan(&self, key: PlanKey<'_>, certificate: &Certificate) -> Option<RenewalPlan> {
        let plan = self.kept(key).await;
        plan.filter(|plan| plan.is_for(certificate))
    }

    async fn kept(&self, key: PlanKey<'_>) -> Option<RenewalPlan> {
        if !key.is_kept {
            return None;
        }
        let loaded = self.records.load_plan(key.issuer, key.subject).await;
        let failed = |error: &_| debug!(names = %key.subject, %error, "no plan to renew is read");
        loaded.inspect_err(failed).ok().flatten()
    }

    async fn keep(&self, key: PlanKey<'_>, plan: &RenewalPlan) {
        if !key.is_kept {
            return;
        }
        let stored = self.records.store_plan(key.issuer, key.subject, plan);
        if let Err(error) = stored.await {
            warn!(names = %key.subject, %error, "the time of renewal is remembered in memory only");
        }
    }
}

fn log_followed(names: &HostPattern, followed: Followed, info: &RenewalInfo, renew_at: SystemTime) {
    let [start, end, renew_at] = [info.start, info.end, renew_at]
        .map(|time| humantime::format_rfc3339_seconds(time).to_string());
    match (followed, &info.explanation) {
        (Followed::Unchanged, _) => (),
        (Followed::TooLate, _) => {
            debug!(%names, start, end, "the CA's time for renewal is too late and not heeded")
        }
        (Followed::First, None) => {
            debug!(%names, start, end, renew_at, "the CA has set the time of renewal")
        }
        (_, Some(explanation)) => {
            warn!(%names, start, end, renew_at, explanation, "the CA has moved the time of renewal")
        }
        (Followed::Moved, None) => {
            info!(%names, start, end, renew_at, "the CA has moved the time of renewal")
        }
    }
}

/// How long after a CA's rest a name asks it. As long on average as names wait for their next question
/// anyway, so that those whose questions were put off do not come faster than ever when it answers again.
fn after_rest() -> Duration {
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

    /// Gives the answers of the test, one after the other, and then says that it has none.
    #[derive(Debug, Default)]
    struct Oracle(Mutex<VecDeque<Result<RenewalInfo, Error>>>);

    impl Issuer for Oracle {
        fn id(&self) -> &'static str {
            "oracle"
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
        oracle: Arc<Oracle>,
        subject: HostPattern,
        certificate: Certificate,
    }

    impl World {
        /// A world with a certificate of so many seconds of life.
        fn new(life: std::ops::Range<i64>) -> Self {
            let pem = TestCa::new().sign(&["a.example"], life);
            Self {
                dir: tempfile::tempdir().unwrap(),
                oracle: Arc::default(),
                subject: HostPattern::parse("a.example").unwrap(),
                certificate: Certificate::from_pem(pem.as_bytes()).unwrap(),
            }
        }

        /// The plans as a process that has just started finds them.
        fn renewals(&self) -> Ari {
            let storage = FileStorage::open(self.dir.path()).unwrap();
            Ari::new(Records::new(Arc::new(storage)), Clock::system())
        }

        fn subject(&self) -> PlanKey<'_> {
            PlanKey {
                issuer: "oracle",
                subject: &self.subject,
                is_kept: true,
            }
        }

        async fn ask(&self, renewals: &Ari, answer: Result<RenewalInfo, Error>) {
            self.oracle.0.lock().unwrap().push_back(answer);
            let issuer: Arc<dyn Issuer> = self.oracle.clone();
            let question = renewals.ask(&issuer, self.subject(), &self.certificate);
            question.await;
        }

        /// How many seconds from now the CA is asked again.
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
            .begin(world.subject(), &world.certificate, None)
            .await;
        world.ask(&renewals, Ok(info(start, 48 * HOUR))).await;
        let point = renew_at(&world.certificate);
        assert!(start - HOUR < point && point < start + 48 * HOUR);
        assert!((3590..4510).contains(&world.wait().unwrap()));

        let renewals = world.renewals();
        world.certificate.renew_at(SystemTime::now());
        renewals.recall(world.subject(), &world.certificate).await;
        assert_eq!(renew_at(&world.certificate), point);
        world.ask(&renewals, Ok(info(start, 48 * HOUR))).await;
        assert_eq!(renew_at(&world.certificate), point);

        world
            .ask(&renewals, Ok(info(start - 200 * HOUR, HOUR)))
            .await;
        assert!(renew_at(&world.certificate) < SystemTime::now());
    }

    #[tokio::test]
    async fn a_ca_without_an_answer_changes_nothing_and_rests() {
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

        // While it rests it is not asked: this answer is never heard.
        world
            .ask(&renewals, Ok(info(start - 200 * HOUR, HOUR)))
            .await;
        assert_eq!(renew_at(&world.certificate), point);
        assert_eq!(world.oracle.0.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn nonsense_is_asked_about_again_hours_later_and_silence_never() {
        let world = World::new(0..90 * 24 * 3600);
        let renewals = world.renewals();
        let by_lifetime = renew_at(&world.certificate);
        let nonsense = Err(Error::Acme(acme::Error::NoCertificate));
        world.ask(&renewals, nonsense).await;
        assert!(world.wait().unwrap() > 4 * 3600);
        let issuer: Arc<dyn Issuer> = world.oracle.clone();
        renewals
            .ask(&issuer, world.subject(), &world.certificate)
            .await;
        assert_eq!(world.wait(), None);
        assert_eq!(renew_at(&world.certificate), by_lifetime);
    }

    #[tokio::test]
    async fn an_expired_certificate_is_not_asked_about() {
        let world = World::new(-7200..-60);
        let answer = Ok(info(SystemTime::now(), HOUR));
        world.ask(&world.renewals(), answer).await;
        assert_eq!(world.oracle.0.lock().unwrap().len(), 1);
        assert_eq!(world.wait(), None);
    }

    #[tokio::test]
    async fn the_first_questions_after_a_start_are_spread() {
        let world = World::new(0..90 * 24 * 3600);
        let renewals = world.renewals();
        let mut waits = Vec::new();
        for _ in 0..50 {
            renewals.recall(world.subject(), &world.certificate).await;
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
            .store_certificate("oracle", &world.subject, &pem);
        written.await.unwrap();
        for (account, expected) in [(None, false), (Some("https://ca.test/1"), true)] {
            renewals.begin(world.subject(), &stored, account).await;
            let found = renewals.predecessor(world.subject()).await;
            assert_eq!(found.is_some(), expected);
            assert!(found.is_none_or(|found| Some(found.id) == stored.id()));
        }
        // What another program has ordered is known by the time that the CA has named for it.
        renewals.begin(world.subject(), &stored, None).await;
        let mut plan = renewals.plan(world.subject(), &stored).await.unwrap();
        plan.window = Some(Window { start: 1, end: 2 });
        renewals.keep(world.subject(), &plan).await;
        let found = renewals.predecessor(world.subject()).await.unwrap();
        assert_eq!((found.account, found.has_window), (None, true));
        // The plan of another certificate says nothing about this one's account.
        renewals
            .begin(
                world.subject(),
                &world.certificate,
                Some("https://ca.test/1"),
            )
            .await;
        assert_eq!(renewals.predecessor(world.subject()).await, None);
    }
}
