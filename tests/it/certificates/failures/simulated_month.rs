//! A simulated month of ten thousand names with a CA that has the limits of Let's Encrypt and several
//! outages, in paused time: no limit is hit, no certificate lapses, and the load on the CA is even.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proxy::acme::{self, CertId, ChallengeType, Identifier, RenewalInfo, Step};
use proxy::certs::issuer::{Error, IssueRequest, Issuer, Pem};
use proxy::certs::{
    CertCache, Certificate, CertificateStore, Clock, Issuers, Limits, ManagerParts, Policy,
    RenewalPlan, Ruleset,
};
use proxy::name::{HostName, HostPattern};
use proxy::storage::MemoryStorage;
use proxy::tasks::Tasks;
use rcgen::{CertificateParams, KeyPair};
use tokio::sync::Semaphore;

use crate::harness::ca::pki::TestCa;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const NAMES: usize = 10_000;
/// Names that share a registered domain.
const NAMES_OF_DOMAIN: usize = 20;
const ACCOUNT: &str = "https://ca.test/account/1";

/// State of the CA for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fair,
    /// It answers nothing.
    Down,
    /// It answers but can reach none of the names.
    Blind,
}

/// An outage from its start to its end.
type Wave = (Duration, Duration, Weather);

/// A CA with limits; it records every request that exceeds one.
#[derive(Debug)]
struct StrictCa {
    clock: Clock,
    start: SystemTime,
    waves: Vec<Wave>,
    permits: Semaphore,
    root: Root,
    key: KeyPair,
    state: Mutex<CaState>,
}

struct Root(TestCa);

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Root")
    }
}

#[derive(Debug, Default)]
struct CaState {
    certificates: HashMap<String, (SystemTime, SystemTime)>,
    valid_until: HashMap<String, SystemTime>,
    orders: VecDeque<SystemTime>,
    of_domain: HashMap<String, VecDeque<SystemTime>>,
    failures: HashMap<String, VecDeque<SystemTime>>,
    /// Renewals and requests for renewal information by the minute.
    load: Vec<u32>,
    renewed: usize,
    offences: Vec<String>,
    lapsed: Vec<String>,
}

impl CaState {
    /// Counts an event; records an offence if more than `limit` of them lie within `span`.
    fn count(
        &mut self,
        pick: impl FnOnce(&mut Self) -> &mut VecDeque<SystemTime>,
        (now, span): (SystemTime, Duration),
        (limit, what): (usize, &str),
    ) {
        let events = pick(self);
        while events.front().is_some_and(|first| *first + span <= now) {
            events.pop_front();
        }
        events.push_back(now);
        if events.len() > limit {
            self.offences.push(format!("{what} at {now:?}"));
        }
    }

    fn load(&mut self, minute: usize) {
        if self.load.len() <= minute {
            self.load.resize(minute + 1, 0);
        }
        self.load[minute] += 1;
    }
}

fn domain(name: &str) -> &str {
    name.split_once('.').unwrap().1
}

/// Time at which a certificate should be renewed.
fn window((start, end): (SystemTime, SystemTime)) -> RenewalInfo {
    let life = end.duration_since(start).unwrap();
    RenewalInfo {
        start: start + life.mul_f64(0.62),
        end: start + life.mul_f64(0.71),
        explanation: None,
        ask_again_after: 6 * HOUR,
    }
}

impl StrictCa {
    fn new(clock: Clock, waves: Vec<Wave>) -> Self {
        Self {
            clock,
            start: clock.now(),
            waves,
            permits: Semaphore::new(4),
            root: Root(TestCa::root("strict root")),
            key: KeyPair::generate().unwrap(),
            state: Mutex::default(),
        }
    }

    fn weather(&self) -> Weather {
        let time = self.clock.now().duration_since(self.start).unwrap();
        let wave = self
            .waves
            .iter()
            .find(|(from, to, _)| *from <= time && time < *to);
        wave.map_or(Weather::Fair, |(_, _, weather)| *weather)
    }

    fn sign(&self, name: &str, start: SystemTime, life: Duration) -> String {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.serial_number = Some(fastrand::u64(1 << 62..1 << 63).into());
        params.not_before = start.into();
        params.not_after = (start + life).into();
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&self.key, self.root.0.issuer()).unwrap();
        let pem = format!("{}{}", leaf.pem(), self.key.serialize_pem());
        let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
        let mut state = self.state.lock().unwrap();
        let id = certificate.id().unwrap().to_string();
        let validity = (certificate.not_before(), certificate.not_after());
        state.certificates.insert(id, validity);
        let former = state.valid_until.insert(name.to_owned(), validity.1);
        if former.is_some_and(|former| former <= self.clock.now()) {
            state.lapsed.push(name.to_owned());
        }
        pem
    }

    /// Counts an order against the limits; renewals within their window are exempt.
    fn admit(&self, name: &str, replaces: Option<&CertId>) {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let replaced = replaces.and_then(|id| state.certificates.get(id.as_str()).copied());
        if replaced.is_some_and(|validity| window(validity).start <= now) {
            state.renewed += 1;
            return;
        }
        state.count(|it| &mut it.orders, (now, 3 * HOUR), (300, "orders"));
        // An order for the same names is a duplicate.
        if state.valid_until.contains_key(name) {
            return;
        }
        let domain = domain(name);
        state.count(
            |it| it.of_domain.entry(domain.to_owned()).or_default(),
            (now, 7 * DAY),
            (50, domain),
        );
    }

    fn fail(&self, name: &str) -> Error {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        state.count(
            |it| it.failures.entry(name.to_owned()).or_default(),
            (now, HOUR),
            (5, name),
        );
        Error::Acme(acme::Error::Authorization {
            identifier: Identifier::from(&HostName::parse(name).unwrap()),
            challenge: ChallengeType::Http01,
            problem: None,
            alternatives: Vec::new(),
        })
    }

    fn is_down(&self, step: Step) -> Result<(), Error> {
        match self.weather() {
            Weather::Down => Err(Error::Acme(acme::Error::Timeout {
                step,
                url: "https://ca.test/".parse().unwrap(),
                limit: HOUR,
            })),
            Weather::Fair | Weather::Blind => Ok(()),
        }
    }

    /// Counts a connection of a name that has a certificate.
    fn connection(&self) {
        let time = self.clock.now().duration_since(self.start).unwrap();
        let minute = usize::try_from(time.as_secs() / 60).unwrap();
        self.state.lock().unwrap().load(minute);
    }
}

impl Issuer for StrictCa {
    fn id(&self) -> &'static str {
        "strict"
    }

    fn limits(&self) -> Limits {
        Limits::PUBLIC
    }

    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
        async move {
            let name = request.subject.to_string();
            let _permit = self.permits.acquire().await;
            if self.state.lock().unwrap().valid_until.contains_key(&name) {
                self.connection();
            }
            request.charges.order(self.clock.now()).await?;
            self.is_down(Step::NewOrder)?;
            self.admit(&name, request.replaces.map(|it| &it.id));
            tokio::time::sleep(Duration::from_secs(5)).await;
            if self.weather() == Weather::Blind {
                return Err(self.fail(&name));
            }
            let pem = self.sign(&name, self.clock.now(), life(&name));
            Ok(Pem::new(&pem, "").ordered_by(ACCOUNT))
        }
        .boxed()
    }

    fn renewal_info<'a>(
        &'a self,
        id: &'a CertId,
    ) -> BoxFuture<'a, Result<Option<RenewalInfo>, Error>> {
        async move {
            self.connection();
            self.is_down(Step::RenewalInfo)?;
            let state = self.state.lock().unwrap();
            Ok(state.certificates.get(id.as_str()).copied().map(window))
        }
        .boxed()
    }
}

/// Returns the `n`-th name; every fiftieth has certificates of six days.
fn name(n: usize) -> String {
    let kind = if n.is_multiple_of(50) {
        "brief"
    } else {
        "long"
    };
    format!("{kind}{n}.d{}.example", n / NAMES_OF_DOMAIN)
}

fn life(name: &str) -> Duration {
    match name.starts_with("brief") {
        true => 160 * HOUR,
        false => 90 * DAY,
    }
}

/// Largest part of its lifetime that a certificate may have behind it without being due. A certificate of a few days is
/// renewed at half of its lifetime unless the CA says when.
fn not_due(name: &str) -> f64 {
    match name.starts_with("brief") {
        true => 0.48,
        false => 0.6,
    }
}

/// Stores certificates for all names but the first `new`, of all ages at which they are not due.
async fn fill(records: &CertificateStore, ca: &StrictCa, new: usize) {
    for n in new..NAMES {
        let name = name(n);
        let age = life(&name).mul_f64(not_due(&name) * fastrand::f64());
        let pem = ca.sign(&name, ca.start - age, life(&name));
        let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
        let subject = HostPattern::parse(&name).unwrap();
        let stored = records.store_certificate("strict", &subject, &pem);
        stored.await.unwrap();
        let mut plan = RenewalPlan::new(&subject, &certificate, ca.start - age);
        plan.account = Some(ACCOUNT.to_owned());
        let stored = records.store_plan("strict", &subject, &plan);
        stored.await.unwrap();
    }
}

/// Simulates a month; `new` of the names have no certificate at its start.
async fn month(waves: Vec<Wave>, new: usize) -> Arc<StrictCa> {
    let clock = Clock::simulated(SystemTime::now());
    let ca = Arc::new(StrictCa::new(clock, waves));
    let records = CertificateStore::new(Arc::new(MemoryStorage::default()));
    fill(&records, &ca, new).await;
    let issuer: Arc<dyn Issuer> = ca.clone();
    let policies = (0..NAMES).map(|n| {
        let site = HostPattern::parse(&name(n)).unwrap();
        (site.clone(), Arc::new(Policy::configured(site)))
    });
    let tasks = Tasks::new();
    let manager = proxy::certs::start(ManagerParts {
        ruleset: Ruleset {
            policies: policies.collect(),
            issuers: Issuers {
                public: vec![issuer.clone()],
                internal: issuer,
            },
            preflight: None,
            on_cert: None,
        },
        records,
        cache: Arc::new(CertCache::new(2 * NAMES)),
        clock,
        tasks: tasks.clone(),
    });

    tokio::time::sleep(30 * DAY).await;

    drop(manager);
    tasks.drain(Duration::ZERO).await;
    ca
}

fn check(ca: &StrictCa) {
    let now = ca.clock.now();
    let state = ca.state.lock().unwrap();
    assert!(state.offences.is_empty(), "{:?}", &state.offences[..1]);
    assert!(state.lapsed.is_empty(), "{:?}", state.lapsed);
    assert_eq!(state.valid_until.len(), NAMES);
    let lapsed = state.valid_until.iter().filter(|(_, end)| **end <= now);
    assert_eq!(lapsed.count(), 0);
    let (total, most) = (
        state.load.iter().sum::<u32>(),
        *state.load.iter().max().unwrap(),
    );
    let mean = f64::from(total) / state.load.len() as f64;
    assert!(
        state.renewed > 3000,
        "{} renewals were exempt",
        state.renewed
    );
    assert!(
        f64::from(most) <= 3.0 * mean,
        "{most} visits in a minute, {mean} on average"
    );
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_is_down_for_days_is_rarely_asked_and_no_certificate_lapses() {
    let waves = vec![
        (4 * DAY, 4 * DAY + 12 * HOUR, Weather::Down),
        (10 * DAY, 11 * DAY + 12 * HOUR, Weather::Down),
        (20 * DAY, 20 * DAY + HOUR, Weather::Down),
    ];
    check(&*month(waves, 200).await);
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_cannot_reach_the_names_is_not_asked_beyond_its_limits() {
    let waves = vec![
        (Duration::ZERO, 2 * HOUR, Weather::Blind),
        (9 * DAY, 10 * DAY, Weather::Down),
        (12 * DAY, 12 * DAY + 6 * HOUR, Weather::Blind),
    ];
    check(&*month(waves, 1000).await);
}
