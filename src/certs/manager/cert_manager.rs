//! Certificates on request: one look-up or order per name at a time, however many handshakes wait for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::attempt::Attempt;
use super::reminder::{Due, Reminder};
use super::single_flight::Flight;
use super::state::{ManagerParts, ManagerState, Outcome};
use crate::certs::clock::Clock;
use crate::certs::issuance::{Obtainer, Purpose};
use crate::certs::policy::{AppliedPolicy, Ruleset};
use crate::certs::status::CertificateRefusal;
use crate::name::{HostName, HostPattern};
use crate::tasks::Tasks;

/// Limits how many on-demand names may be looked up or ordered at once. More are refused.
const MAX_NAMES: usize = 1024;

/// Obtains, serves and renews the certificates of all names that may have one. Clones share one state.
#[derive(Clone, Debug)]
pub struct CertManager {
    pub(super) state: Arc<ManagerState>,
}

impl CertManager {
    /// Builds the manager and schedules every name that the configuration spells out.
    pub(crate) fn new(parts: ManagerParts, schedule: mpsc::UnboundedSender<Reminder>) -> Self {
        let manager = Self {
            state: Arc::new(ManagerState::new(parts, schedule)),
        };
        manager.schedule_new_names(&manager.state.ruleset(), None);
        manager
    }

    /// Replaces the ruleset. Certificates of names that may still have one stay in the cache, and no valid certificate is
    /// ordered again. Orders that are under way end by the rules that they began with.
    pub fn reload(&self, ruleset: Ruleset) {
        let ruleset = Arc::new(ruleset);
        let previous = self.state.ruleset.swap(Arc::clone(&ruleset));
        let cache = self.state.cache();
        cache.retain(|pattern| ruleset.policy(pattern).is_some());
        self.schedule_new_names(&ruleset, Some(&previous));
    }

    /// Schedules each name that `ruleset` spells out and `previous` does not, due now.
    fn schedule_new_names(&self, ruleset: &Ruleset, previous: Option<&Ruleset>) {
        let at = self.clock().now();
        for (pattern, policy) in ruleset.policies.iter() {
            // Other names with the policy of a wildcard have no certificate of their own.
            let Some(subject) = policy.managed().filter(|subject| **subject == pattern) else {
                continue;
            };
            if previous.is_some_and(|previous| previous.manages(subject)) {
                continue;
            }
            self.remind(Reminder::Set(Due {
                subject: subject.clone(),
                at,
                purpose: Purpose::Renew,
            }));
        }
    }

    /// Returns the certificate for a name: from memory, else from storage, else by an order if the name may have one.
    /// The number of new on-demand names is limited per client network.
    ///
    /// Dropping the future ends the wait. The order goes on.
    pub async fn certificate(&self, name: &HostName, client: IpAddr) -> Outcome {
        let state = &self.state;
        if let Some(certificate) = state.cache().lookup(name.as_str()) {
            return Ok(certificate);
        }
        let applied = state.policy(&HostPattern::Exact(name.clone()));
        let applied = applied.ok_or(CertificateRefusal::Unknown)?;
        let subject = applied.policy.subject(name);
        if applied.policy.ask().is_some()
            && state.flights.len() >= MAX_NAMES
            && !state.flights.contains(&subject)
        {
            return Err(CertificateRefusal::TooManyNames);
        }
        self.join(&subject, &applied, Purpose::Serve(client))
            .first()
            .await?
    }

    /// Renews the certificate of a name, or asks its CA when to renew, as `purpose` says. Returns `false` if the name has no
    /// certificate of its own any more.
    pub(crate) async fn maintain(&self, subject: HostPattern, purpose: Purpose) -> bool {
        let Some(applied) = self.state.policy(&subject) else {
            return false;
        };
        if !applied.policy.signs_for(&subject) {
            // Since a reload, the names of its site share one certificate.
            self.state.cache().remove(&subject);
            return false;
        }
        if !applied.policy.is_kept() {
            // The next handshake gets a new one. Renewing every name that a scanner has asked for would never end.
            self.state.cache().remove(&subject);
            return true;
        }
        let is_under_way = self.is_in_flight(&subject);
        let _ = self.obtain(&subject, &applied, purpose).await;
        if is_under_way {
            // That flight may have had another purpose, and may have sent its reminder before the name left the queue.
            // Without a new reminder the name would be lost.
            let at = self.clock().now() + Duration::from_secs(1);
            self.remind(Reminder::SetIfAbsent(Due {
                subject,
                at,
                purpose,
            }));
        }
        true
    }

    pub(crate) fn obtainer(&self) -> &Obtainer {
        &self.state.obtainer
    }

    /// `true` while a look-up or an order for the name is under way.
    pub(crate) fn is_in_flight(&self, subject: &HostPattern) -> bool {
        self.state.flights.contains(subject)
    }

    /// Obtains a certificate, or joins the attempt that is under way, and waits for the final outcome.
    pub(super) async fn obtain(
        &self,
        subject: &HostPattern,
        policy: &AppliedPolicy,
        purpose: Purpose,
    ) -> Outcome {
        self.join(subject, policy, purpose).last().await?
    }

    /// `true` if the subject's certificate is obtained at the start and renewed from then on.
    pub(crate) fn is_configured(&self, subject: &HostPattern) -> bool {
        let applied = self.state.policy(subject);
        let policy = applied.as_ref().map(|applied| &applied.policy);
        policy.is_some_and(|policy| policy.signs_for(subject) && policy.managed().is_some())
    }

    /// `true` if the subject may still have a certificate of this issuer.
    pub(crate) fn is_wanted(&self, issuer: &str, subject: &HostPattern) -> bool {
        self.state.policy(subject).is_some_and(|applied| {
            let mut issuers = applied.issuers(subject).iter();
            applied.policy.signs_for(subject) && issuers.any(|known| known.id() == issuer)
        })
    }

    /// `true` while no look-up and no order is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.state.flights.len() == 0
    }

    pub(crate) fn clock(&self) -> Clock {
        self.state.clock
    }

    pub(crate) fn remind(&self, reminder: Reminder) {
        self.state.remind(reminder);
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.state.tasks
    }

    fn join(
        &self,
        subject: &HostPattern,
        policy: &AppliedPolicy,
        purpose: Purpose,
    ) -> Flight<Outcome> {
        self.state.flights.join(subject, |leader| {
            let attempt = Attempt {
                state: Arc::clone(&self.state),
                leader,
                subject: subject.clone(),
                policy: policy.clone(),
                purpose,
                stored: None,
                is_finished: false,
            };
            self.state.tasks.spawn(attempt.run());
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::SystemTime;

    use futures_util::FutureExt;
    use futures_util::future::{BoxFuture, join_all};
    use tokio::sync::Notify;

    use super::super::state::MAX_WAITING;
    use super::*;
    use crate::certs::budget::Limits;
    use crate::certs::certificate::{CertCache, Certificate, TestCa};
    use crate::certs::issuer::{Error, IssueRequest, Issuer, Pem};
    use crate::certs::on_demand::{Ask, OnDemandOptions};
    use crate::certs::policy::{Issuers, Policy};
    use crate::certs::status::Standing;
    use crate::certs::store::CertificateStore;
    use crate::storage::{FileStorage, Storage};

    pub(crate) const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Signs or fails as the test says, and counts its orders.
    #[derive(Debug)]
    pub(crate) struct TestIssuer {
        pub(crate) validity: Mutex<Option<i64>>,
        /// Seconds since the validity began.
        pub(crate) age: Mutex<i64>,
        /// `true` to sign for a name that was not ordered.
        pub(crate) signs_wrong_name: AtomicBool,
        pub(crate) orders: AtomicUsize,
        pub(crate) ordered: Notify,
        /// Each order takes one permit before it is answered.
        pub(crate) permits: tokio::sync::Semaphore,
        /// `true` for a public CA.
        pub(crate) is_public: AtomicBool,
    }

    impl TestIssuer {
        /// An issuer whose certificates are valid for `validity` seconds. With `None` it always fails.
        pub(crate) fn new(validity: Option<i64>) -> Arc<Self> {
            Arc::new(Self {
                validity: Mutex::new(validity),
                age: Mutex::new(1),
                signs_wrong_name: AtomicBool::new(false),
                orders: AtomicUsize::new(0),
                ordered: Notify::new(),
                permits: tokio::sync::Semaphore::new(1000),
                is_public: AtomicBool::new(false),
            })
        }

        pub(crate) fn orders(&self) -> usize {
            self.orders.load(Ordering::SeqCst)
        }
    }

    impl Issuer for TestIssuer {
        fn id(&self) -> &'static str {
            "test"
        }

        fn is_public(&self) -> bool {
            self.is_public.load(Ordering::SeqCst)
        }

        fn limits(&self) -> Limits {
            if self.is_public() {
                Limits::PUBLIC
            } else {
                Limits::NONE
            }
        }

        fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
            let subject = request.subject;
            async move {
                self.orders.fetch_add(1, Ordering::SeqCst);
                self.ordered.notify_one();
                self.permits.acquire().await.unwrap().forget();
                let validity = *self.validity.lock().unwrap();
                let validity = validity.ok_or(Error::NoSubject)?;
                let age = *self.age.lock().unwrap();
                let name = if self.signs_wrong_name.load(Ordering::SeqCst) {
                    "other.example.org".to_owned()
                } else {
                    subject.to_string()
                };
                let pem = TestCa::new().sign(&[&name], -age..validity);
                Ok(Pem::new(&pem, ""))
            }
            .boxed()
        }
    }

    pub(crate) struct World {
        pub(crate) dir: tempfile::TempDir,
        pub(crate) issuer: Arc<TestIssuer>,
    }

    impl World {
        pub(crate) fn new(validity: Option<i64>) -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
                issuer: TestIssuer::new(validity),
            }
        }

        /// A manager on this world's data directory, as after the start of a process.
        pub(crate) fn manager(&self, policies: Vec<Policy>) -> (CertManager, Tasks) {
            let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(self.dir.path()).unwrap());
            let tasks = Tasks::new();
            let issuer: Arc<dyn Issuer> = self.issuer.clone();
            let policies = policies.into_iter().map(|policy| {
                let site = policy.managed().cloned().unwrap_or(HostPattern::Any);
                (site, Arc::new(policy))
            });
            let manager = crate::certs::start(ManagerParts {
                ruleset: Ruleset {
                    policies: policies.collect(),
                    issuers: Issuers {
                        public: vec![issuer.clone()],
                        internal: issuer,
                    },
                    preflight: None,
                    on_cert: None,
                },
                records: CertificateStore::new(storage),
                cache: Arc::new(CertCache::new(100)),
                clock: Clock::system(),
                tasks: tasks.clone(),
            });
            (manager, tasks)
        }
    }

    pub(crate) fn name(text: &str) -> HostName {
        HostName::parse(text).unwrap()
    }

    pub(crate) fn site(text: &str) -> Policy {
        Policy::configured(HostPattern::parse(text).unwrap())
    }

    /// An on-demand site for all names, whose ask endpoint always answers with `status`.
    pub(crate) async fn on_demand(status: u16) -> (Policy, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ask = format!("http://{}/ask?key=1", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let questions = Arc::clone(&asked);
        Tasks::new().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let questions = Arc::clone(&questions);
                let service = hyper::service::service_fn(move |request: http::Request<_>| {
                    let query = request.uri().query().unwrap_or_default();
                    assert!(query.starts_with("key=1&domain="), "{query}");
                    let _: hyper::body::Incoming = request.into_body();
                    questions.fetch_add(1, Ordering::SeqCst);
                    let response = http::Response::builder()
                        .status(status)
                        .header("location", "/elsewhere")
                        .body(String::new());
                    async { response }
                });
                let stream = hyper_util::rt::TokioIo::new(stream);
                let http = hyper::server::conn::http1::Builder::new();
                Tasks::new().spawn(http.serve_connection(stream, service));
            }
        });
        let options = OnDemandOptions::new(ask.parse().unwrap());
        (
            Policy::on_demand(HostPattern::Any, Arc::new(Ask::new(&options).unwrap())),
            asked,
        )
    }

    /// The ruleset of a configuration with these sites.
    pub(crate) fn rules(world: &World, policies: Vec<Policy>) -> Ruleset {
        let issuer: Arc<dyn Issuer> = world.issuer.clone();
        let policies = policies.into_iter();
        let policies = policies.map(|policy| (policy.managed().cloned().unwrap(), policy.into()));
        Ruleset {
            policies: policies.collect(),
            issuers: Issuers {
                public: vec![issuer.clone()],
                internal: issuer,
            },
            preflight: None,
            on_cert: None,
        }
    }

    /// Obtains a certificate that is soon due, and waits until its renewal is held up at the issuer.
    pub(crate) async fn held_renewal(world: &World, manager: &CertManager) -> Arc<Certificate> {
        let wanted = name("www.example.org");
        let first = manager.certificate(&wanted, CLIENT).await.unwrap();
        world.issuer.ordered.notified().await;
        world.issuer.ordered.notified().await;
        let meanwhile = manager.certificate(&wanted, CLIENT).await.unwrap();
        assert_eq!(
            meanwhile.serial(),
            first.serial(),
            "the old one is served meanwhile"
        );
        first
    }

    /// Lets the renewal continue and waits for its end.
    pub(crate) async fn release(world: &World, manager: &CertManager) {
        let subject = HostPattern::Exact(name("www.example.org"));
        let is_new = |_| panic!("no attempt is under way");
        let flight = manager.state.flights.join(&subject, is_new);
        world.issuer.permits.add_permits(1);
        let _ = flight.last().await;
    }

    /// Returns the time until the next attempt.
    pub(crate) fn wait(refusal: &CertificateRefusal) -> Duration {
        let CertificateRefusal::BackingOff { until, .. } = refusal else {
            panic!("{refusal}");
        };
        until.duration_since(SystemTime::now()).unwrap()
    }

    #[tokio::test]
    async fn a_reload_orders_new_names_keeps_old_ones_and_drops_removed_ones() {
        let world = World::new(Some(3600));
        let names = ["old", "kept", "new"].map(|label| format!("{label}.example.org"));
        let [old, kept, new] = names.each_ref().map(|text| name(text));
        let (manager, _tasks) = world.manager(vec![site(&names[0]), site(&names[1])]);
        for name in [&old, &kept] {
            manager.certificate(name, CLIENT).await.unwrap();
        }

        manager.reload(rules(&world, vec![site(&names[1]), site(&names[2])]));

        let cache = manager.obtainer().cache();
        assert!(cache.lookup(kept.as_str()).is_some());
        assert!(cache.lookup(old.as_str()).is_none());
        let refusal = manager.certificate(&old, CLIENT).await.unwrap_err();
        assert!(matches!(refusal, CertificateRefusal::Unknown));
        assert!(!manager.maintain(old.into(), Purpose::Renew).await);
        // The new name is ordered without a handshake.
        while cache.lookup(new.as_str()).is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.issuer.orders(), 3);
    }

    #[tokio::test]
    async fn a_name_that_a_new_wildcard_site_covers_keeps_its_certificate_until_it_is_due() {
        let world = World::new(Some(3600));
        let wanted = name("www.example.org");
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let own = manager.certificate(&wanted, CLIENT).await.unwrap();

        let whole = HostPattern::parse("*.example.org").unwrap();
        manager.reload(rules(&world, vec![Policy::wildcard(whole.clone())]));

        let served = manager.certificate(&wanted, CLIENT).await.unwrap();
        assert_eq!(served.serial(), own.serial());
        let subject = HostPattern::from(wanted);
        assert!(!manager.is_configured(&subject) && !manager.is_wanted("test", &subject));
        assert!(manager.is_configured(&whole) && manager.is_wanted("test", &whole));
        assert!(!manager.maintain(subject.clone(), Purpose::Renew).await);
        assert!(manager.obtainer().cache().get(&subject).is_none());
    }

    #[tokio::test]
    async fn an_order_that_ends_after_its_name_was_removed_serves_nothing() {
        let world = World::new(Some(3600));
        world.issuer.permits.forget_permits(1000);
        let wanted = name("www.example.org");
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let gone = async {
            world.issuer.ordered.notified().await;
            manager.reload(rules(&world, vec![site("other.example.org")]));
            world.issuer.permits.add_permits(1);
        };
        let (obtained, ()) = tokio::join!(manager.certificate(&wanted, CLIENT), gone);
        obtained.unwrap();
        assert!(manager.obtainer().cache().lookup(wanted.as_str()).is_none());
    }

    #[tokio::test]
    async fn many_handshakes_for_a_new_name_place_one_order() {
        let world = World::new(Some(3600));
        let (policy, asked) = on_demand(200).await;
        let (manager, _tasks) = world.manager(vec![policy]);
        let new = name("new.example.org");

        let served = join_all((0..200).map(|_| manager.certificate(&new, CLIENT))).await;

        assert!(served.iter().all(Result::is_ok));
        assert_eq!(world.issuer.orders(), 1);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(matches!(
            manager.standing(&new).await,
            Standing::Served { .. }
        ));
    }

    #[tokio::test]
    async fn the_number_of_handshakes_that_wait_for_a_name_is_limited() {
        let world = World::new(Some(3600));
        world.issuer.permits.forget_permits(1000);
        let (policy, _) = on_demand(200).await;
        let (manager, _tasks) = world.manager(vec![policy]);
        let new = name("new.example.org");
        let release = async {
            world.issuer.ordered.notified().await;
            world.issuer.permits.add_permits(1);
        };
        let handshakes =
            join_all((0..MAX_WAITING + 100).map(|_| manager.certificate(&new, CLIENT)));

        let (outcomes, ()) = tokio::join!(handshakes, release);

        let refused = outcomes
            .iter()
            .filter(|it| matches!(it, Err(CertificateRefusal::TooManyWaiting)));
        assert_eq!(refused.count(), 100);
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            MAX_WAITING
        );
    }

    #[tokio::test]
    async fn a_name_that_is_not_allowed_places_no_order() {
        for status in [204, 301, 403, 500] {
            let world = World::new(Some(3600));
            let (policy, _) = on_demand(status).await;
            let (manager, _tasks) = world.manager(vec![policy]);
            let refusal = manager
                .certificate(&name("new.example.org"), CLIENT)
                .await
                .unwrap_err();
            assert!(
                refusal.to_string().contains(&format!("status {status}")),
                "{refusal}"
            );
            assert_eq!(world.issuer.orders(), 0);
        }
    }

    #[tokio::test]
    async fn an_ask_endpoint_that_does_not_answer_refuses() {
        let world = World::new(Some(3600));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ask = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        drop(listener);
        let ask = Arc::new(Ask::new(&OnDemandOptions::new(ask)).unwrap());
        let (manager, _tasks) = world.manager(vec![Policy::on_demand(HostPattern::Any, ask)]);
        let refusal = manager
            .certificate(&name("new.example.org"), CLIENT)
            .await
            .unwrap_err();
        assert!(refusal.to_string().contains("did not answer"), "{refusal}");
        assert_eq!(world.issuer.orders(), 0);
    }

    #[tokio::test]
    async fn a_name_that_nobody_configured_is_refused() {
        let world = World::new(Some(3600));
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let refusal = manager
            .certificate(&name("other.example.org"), CLIENT)
            .await
            .unwrap_err();
        assert!(matches!(refusal, CertificateRefusal::Unknown));
    }

    #[tokio::test]
    async fn a_no_of_the_ask_endpoint_is_cached_and_reported() {
        let world = World::new(Some(3600));
        let (policy, asked) = on_demand(403).await;
        let (manager, _tasks) = world.manager(vec![policy]);
        let new = name("new.example.org");
        for _ in 0..3 {
            manager.certificate(&new, CLIENT).await.unwrap_err();
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let standing = manager.standing(&new).await.to_string();
        assert!(
            standing.contains("status 403; it gets a certificate when"),
            "{standing}"
        );
    }

    #[tokio::test]
    async fn names_with_a_stored_certificate_are_not_limited() {
        let world = World::new(Some(3600));
        let names = (0..20).map(|n| name(&format!("n{n}.example.org")));
        let names = names.collect::<Vec<_>>();
        let (policy, _) = on_demand(200).await;
        let (manager, tasks) = world.manager(vec![policy]);
        for name in &names {
            manager.certificate(name, CLIENT).await.unwrap();
        }
        let one_more = name("one-more.example.org");
        let refusal = manager.certificate(&one_more, CLIENT).await;
        let refusal = refusal.unwrap_err().to_string();
        assert!(refusal.contains("127.0.0.0/24"), "{refusal}");
        tasks.drain(Duration::ZERO).await;

        let (policy, asked) = on_demand(200).await;
        let (manager, _tasks) = world.manager(vec![policy]);
        for _ in 0..2 {
            for name in &names {
                manager.certificate(name, CLIENT).await.unwrap();
            }
        }
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        manager.certificate(&one_more, CLIENT).await.unwrap();
    }

    #[tokio::test]
    async fn names_that_a_scanner_asks_of_a_local_wildcard_are_neither_renewed_nor_remembered() {
        let world = World::new(Some(3600));
        let (manager, _tasks) = world.manager(vec![site("*.internal")]);
        let subject = HostPattern::parse("a.internal").unwrap();
        manager
            .certificate(&name("a.internal"), CLIENT)
            .await
            .unwrap();

        manager.maintain(subject.clone(), Purpose::Renew).await;

        assert_eq!(world.issuer.orders(), 1);
        assert!(manager.obtainer().cache().get(&subject).is_none());
        *world.issuer.validity.lock().unwrap() = None;
        for n in 0..3 {
            let name = name(&format!("n{n}.internal"));
            let refusal = manager.certificate(&name, CLIENT).await.unwrap_err();
            assert!(
                matches!(refusal, CertificateRefusal::BackingOff { .. }),
                "{refusal}"
            );
            let failures = manager.obtainer().failures();
            assert_eq!(failures.attempts(&name.into()).await, None);
        }
    }

    #[tokio::test]
    async fn a_public_ca_is_not_asked_for_names_that_none_can_sign() {
        let world = World::new(Some(3600));
        world.issuer.is_public.store(true, Ordering::SeqCst);
        let (policy, asked) = on_demand(200).await;
        let (manager, _tasks) = world.manager(vec![policy]);
        for text in ["nas.lan", "intranet", "co.uk"] {
            let refusal = manager.certificate(&name(text), CLIENT).await.unwrap_err();
            assert!(
                matches!(refusal, CertificateRefusal::NoPublicCa(_)),
                "{refusal}"
            );
        }
        assert_eq!(world.issuer.orders(), 0);
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_name_over_budget_waits_and_does_not_count_as_failed() {
        let world = World::new(Some(3600));
        world.issuer.is_public.store(true, Ordering::SeqCst);
        let budget = world.dir.path().join("budgets/test/domains");
        std::fs::create_dir_all(&budget).unwrap();
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let spent = format!("{{\"spent\":{:?}}}", vec![now; 40]);
        std::fs::write(budget.join("example.org.json"), spent).unwrap();
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);

        let wanted = name("www.example.org");
        let refusal = manager.certificate(&wanted, CLIENT).await.unwrap_err();

        assert!(matches!(refusal, CertificateRefusal::Held(_)), "{refusal}");
        assert_eq!(world.issuer.orders(), 0);
        let subject = HostPattern::Exact(wanted.clone());
        assert_eq!(manager.obtainer().failures().attempts(&subject).await, None);
    }

    #[tokio::test]
    async fn a_certificate_that_could_not_be_stored_is_not_replaced_by_its_predecessor() {
        let world = World::new(Some(3600));
        let wanted = name("www.example.org");
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        manager.certificate(&wanted, CLIENT).await.unwrap();
        let subject = HostPattern::Exact(wanted.clone());
        let pem = TestCa::new().sign(&["www.example.org"], -1..7200);
        let newer = Arc::new(Certificate::from_pem(pem.as_bytes()).unwrap());
        let cache = manager.obtainer().cache();
        cache.insert(&subject, Arc::clone(&newer));

        manager.maintain(subject, Purpose::Renew).await;

        let served = manager.certificate(&wanted, CLIENT).await.unwrap();
        assert_eq!(served.serial(), newer.serial());
    }

    #[tokio::test]
    async fn a_stored_certificate_is_served_by_a_machine_whose_clock_is_behind() {
        let world = World::new(Some(3600));
        let wanted = name("www.example.org");
        let pem = TestCa::new().sign(&["www.example.org"], 86_400..2 * 86_400);
        let stored = Certificate::from_pem(pem.as_bytes()).unwrap();
        let records = CertificateStore::new(Arc::new(FileStorage::open(world.dir.path()).unwrap()));
        let subject = HostPattern::Exact(wanted.clone());
        let written = records.store_certificate("test", &subject, &pem);
        written.await.unwrap();

        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let served = manager.certificate(&wanted, CLIENT).await.unwrap();
        manager.maintain(subject, Purpose::Renew).await;

        assert_eq!(served.serial(), stored.serial());
        assert_eq!(world.issuer.orders(), 0);
    }

    #[tokio::test]
    async fn a_restart_with_a_due_certificate_serves_it_while_its_renewal_waits() {
        let world = World::new(Some(3600));
        *world.issuer.age.lock().unwrap() = 24 * 3600;
        world.issuer.permits.forget_permits(999);
        let wanted = name("www.example.org");
        let (manager, tasks) = world.manager(vec![site("www.example.org")]);
        let first = manager.certificate(&wanted, CLIENT).await.unwrap();
        tasks.drain(Duration::ZERO).await;
        std::fs::remove_dir_all(world.dir.path().join("attempts")).unwrap();

        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let subject = HostPattern::Exact(wanted.clone());
        let applied = manager.state.policy(&subject).unwrap();
        let renewal = manager.join(&subject, &applied, Purpose::Renew);
        let served = manager.certificate(&wanted, CLIENT).await.unwrap();

        assert_eq!(served.serial(), first.serial());
        drop(renewal);
    }

    #[tokio::test]
    async fn an_ask_endpoint_that_is_down_takes_no_certificate_away() {
        let world = World::new(Some(3600));
        let wanted = name("new.example.org");
        let (policy, _) = on_demand(200).await;
        let (manager, tasks) = world.manager(vec![policy]);
        *world.issuer.age.lock().unwrap() = 24 * 3600;
        let first = manager.certificate(&wanted, CLIENT).await.unwrap();
        tasks.drain(Duration::ZERO).await;
        std::fs::remove_dir_all(world.dir.path().join("attempts")).unwrap();

        let (policy, asked) = on_demand(503).await;
        let (manager, _tasks) = world.manager(vec![policy]);
        manager.certificate(&wanted, CLIENT).await.unwrap();
        manager
            .maintain(HostPattern::Exact(wanted.clone()), Purpose::Renew)
            .await;

        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let served = manager.obtainer().cache().lookup(wanted.as_str());
        assert_eq!(served.unwrap().serial(), first.serial());
    }

    #[tokio::test]
    async fn a_flood_of_made_up_names_is_refused_and_not_remembered() {
        let world = World::new(Some(3600));
        world.issuer.permits.forget_permits(1000);
        let (policy, _) = on_demand(200).await;
        let (manager, _tasks) = world.manager(vec![policy]);
        let ask = |n: usize| {
            manager
                .certificate(&name(&format!("n{n}.example.org")), CLIENT)
                .now_or_never()
        };
        assert!((0..MAX_NAMES).all(|n| ask(n).is_none()));
        assert!(matches!(
            ask(MAX_NAMES),
            Some(Err(CertificateRefusal::TooManyNames))
        ));
        assert!(ask(0).is_none(), "a name under way may be waited for");
    }

    #[tokio::test]
    async fn a_panic_counts_as_a_failed_attempt_and_is_not_retried_at_once() {
        let world = World::new(Some(3600));
        world.issuer.permits.close();
        let wanted = name("www.example.org");
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        let refusal = manager.certificate(&wanted, CLIENT).await.unwrap_err();
        assert!(matches!(refusal, CertificateRefusal::Stopping), "{refusal}");
        let refusal = manager.certificate(&wanted, CLIENT).await.unwrap_err();
        assert!(wait(&refusal) > Duration::from_secs(40));
        assert_eq!(world.issuer.orders(), 1);
    }

    #[tokio::test]
    async fn a_certificate_of_an_unconfigured_issuer_is_served_until_a_configured_one_has_signed() {
        let world = World::new(None);
        let wanted = name("www.example.org");
        let subject = HostPattern::Exact(wanted.clone());
        let records = CertificateStore::new(Arc::new(FileStorage::open(world.dir.path()).unwrap()));
        let pem = |end| TestCa::new().sign(&["www.example.org"], -60..end);
        let removed = pem(7200);
        for (issuer, pem) in [
            ("removed", &removed),
            ("internal", &pem(9000)),
            ("a-staging", &pem(9000)),
        ] {
            let stored = records.store_certificate(issuer, &subject, pem);
            stored.await.unwrap();
        }
        let removed = Certificate::from_pem(removed.as_bytes()).unwrap();
        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        // The order that is placed at the start fails.
        let _ = manager.certificate(&wanted, CLIENT).await;

        let served = manager.certificate(&wanted, CLIENT).await.unwrap();

        assert_eq!(served.serial(), removed.serial());
    }

    #[tokio::test]
    async fn a_damaged_record_is_replaced() {
        let world = World::new(Some(3600));
        let (manager, tasks) = world.manager(vec![site("www.example.org")]);
        manager
            .certificate(&name("www.example.org"), CLIENT)
            .await
            .unwrap();
        tasks.drain(Duration::ZERO).await;
        let file = world
            .dir
            .path()
            .join("certificates/test/www.example.org/certificate.pem");
        std::fs::write(&file, "half a fi").unwrap();

        let (manager, _tasks) = world.manager(vec![site("www.example.org")]);
        manager
            .certificate(&name("www.example.org"), CLIENT)
            .await
            .unwrap();

        assert_eq!(world.issuer.orders(), 2);
        assert!(
            std::fs::read_to_string(&file)
                .unwrap()
                .contains("BEGIN CERTIFICATE")
        );
    }

    #[tokio::test]
    async fn all_names_of_a_wildcard_site_share_one_order() {
        let world = World::new(Some(3600));
        let wildcard = HostPattern::parse("*.home.example.org").unwrap();
        let (manager, _tasks) = world.manager(vec![Policy::wildcard(wildcard.clone())]);
        let names = ["a.home.example.org", "b.home.example.org"].map(name);
        let outcomes = join_all(names.iter().map(|name| manager.certificate(name, CLIENT))).await;
        for outcome in outcomes {
            assert_eq!(outcome.unwrap().names(), std::slice::from_ref(&wildcard));
        }
        assert_eq!(world.issuer.orders(), 1);
        let standing = manager.standing(&names[0]).await;
        assert!(matches!(standing, Standing::Served { .. }), "{standing:?}");
        let base = name("home.example.org");
        assert!(manager.certificate(&base, CLIENT).await.is_err());
        assert!(manager.maintain(wildcard, Purpose::Renew).await);
    }
}
