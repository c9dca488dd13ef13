//! A process that is killed at any write of an order or at any change of a zone: the next process serves the one
//! certificate that was signed, and leaves nothing in DNS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proxy::acme::{Options, Solver};
use proxy::certs::challenge::{Dns01Solver, DnsMethod, DnsOptions, Propagation, SiteDns, Solvers};
use proxy::certs::issuer::{AcmeIssuer, InternalCa, InternalCaOptions};
use proxy::certs::{
    CertCache, CertManager, CertificateStore, Clock, Issuers, ManagerParts, Policy, Resolver,
    ResolverOptions, Ruleset, Stored,
};
use proxy::dns_client::NameServer;
use proxy::name::{HostName, HostPattern, NameMap};
use proxy::storage::{Key, MemoryStorage, Storage};
use proxy::tasks::Tasks;
use serde_json::json;
use tokio::runtime::Builder;

use crate::harness::ca::http01::Http01;
use crate::harness::ca::scripted::{Script, ScriptedCa, Step};
use crate::harness::crashes::crash_point::{Crash, CrashPoint};
use crate::harness::crashes::crashing_dns::CrashingDns;
use crate::harness::crashes::crashing_storage::CrashingStorage;
use crate::harness::deadline::soon;
use crate::harness::dns::server::DnsServer;

const NAME: &str = "www.example.org";
const WILDCARD: &str = "*.example.org";
const CHALLENGE: &str = "_acme-challenge.example.org";
/// Number of changes that are tried at once; most of the time is spent waiting.
const AT_ONCE: usize = 5;

const CLIENT: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Type of challenge that proves the names.
#[derive(Clone)]
enum Way {
    Http01(Arc<dyn Solver>),
    Dns01(Arc<DnsServer>),
}

/// A CA, and the state that outlives a process.
struct World {
    ca: ScriptedCa,
    way: Way,
    storage: Arc<MemoryStorage>,
}

/// One process.
struct Life {
    manager: CertManager,
    tasks: Tasks,
    issuer: String,
}

impl Way {
    async fn http01() -> (Self, ScriptedCa) {
        let port_80 = Http01::start().await;
        let ca = ScriptedCa::start(Script::new(), port_80.port()).await;
        (Self::Http01(Arc::new(port_80)), ca)
    }

    async fn dns01() -> (Self, ScriptedCa) {
        let dns = Arc::new(DnsServer::start());
        let ca = ScriptedCa::start(Script::new().dns01(&dns), 1).await;
        (Self::Dns01(dns), ca)
    }

    fn site(&self) -> Policy {
        match self {
            Self::Http01(_) => Policy::configured(HostPattern::parse(NAME).unwrap()),
            Self::Dns01(_) => Policy::wildcard(HostPattern::parse(WILDCARD).unwrap()),
        }
    }

    fn solvers(
        &self,
        crash_point: &Arc<CrashPoint>,
        storage: &Arc<dyn Storage>,
        tasks: &Tasks,
    ) -> Solvers {
        let dns = match self {
            Self::Http01(solver) => return Solvers::new(vec![Arc::clone(solver)]),
            Self::Dns01(dns) => dns,
        };
        let mut options = DnsOptions::new(DnsMethod::Exec(PathBuf::new()));
        options.propagation.name_servers = vec![dns.address()];
        let resolver = Resolver::new(ResolverOptions {
            servers: vec![NameServer::At(dns.address())],
            authority_port: dns.address().port(),
        });
        let zone = CrashingDns::new(Arc::clone(dns), Arc::clone(crash_point));
        let propagation = Propagation::new(Arc::new(resolver), &options.propagation);
        let solver = Dns01Solver::new(Arc::new(zone), propagation, tasks.clone());
        let own = SiteDns::Records(solver.with_journal(Arc::clone(storage)));
        let mut dns = NameMap::new();
        dns.insert(HostPattern::parse(WILDCARD).unwrap(), Some(own));
        Solvers::default().with_dns(dns)
    }
}

impl World {
    fn new((way, ca): (Way, ScriptedCa)) -> Arc<Self> {
        let storage = Arc::new(MemoryStorage::default());
        Arc::new(Self { ca, way, storage })
    }

    fn start(&self, crash_point: &Arc<CrashPoint>) -> Life {
        let inner = Arc::clone(&self.storage) as _;
        let storage: Arc<dyn Storage> =
            Arc::new(CrashingStorage::new(inner, Arc::clone(crash_point)));
        let tasks = Tasks::new();
        let mut protocol = Options::new(self.ca.directory_url());
        protocol.root_pem = Some(self.ca.root_pem().into_bytes());
        let solvers = self.way.solvers(crash_point, &storage, &tasks);
        let issuer =
            AcmeIssuer::with_protocol(protocol, None, Arc::clone(&storage), solvers).unwrap();
        let policy = self.way.site();
        let mut policies = NameMap::new();
        policies.insert(policy.managed().unwrap().clone(), Arc::new(policy));
        let internal = InternalCa::new(Arc::clone(&storage), InternalCaOptions::default());
        let id = proxy::certs::issuer::Issuer::id(&issuer).to_owned();
        let manager = proxy::certs::start(ManagerParts {
            ruleset: Ruleset {
                policies,
                issuers: Issuers {
                    public: vec![Arc::new(issuer)],
                    internal: Arc::new(internal),
                },
                preflight: None,
                on_cert: None,
            },
            records: CertificateStore::new(storage),
            cache: Arc::new(CertCache::new(10)),
            clock: Clock::system(),
            tasks: tasks.clone(),
        });
        Life {
            manager,
            tasks,
            issuer: id,
        }
    }

    /// Kills the process at its `n`-th change and returns the name of the change; none if it makes fewer.
    async fn killed_at(self: &Arc<Self>, n: usize, stop: Crash) -> Option<String> {
        let world = Arc::clone(self);
        let life = async move {
            let crash_point = CrashPoint::at(n, stop);
            let life = world.start(&crash_point);
            let ends = async {
                life.serial().await.unwrap();
                crash_point.until(|| world.is_clean()).await;
            };
            tokio::select! {
                change = crash_point.stopped() => Some(change),
                () = ends => None,
            }
        };
        // All tasks of the process end with it, whatever they wait for.
        let process = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let at = soon(process.spawn(life)).await.unwrap();
        process.shutdown_background();
        at
    }

    /// Returns `true` if no record is in DNS and none is noted for removal.
    fn is_clean(&self) -> bool {
        let is_set = match &self.way {
            Way::Http01(_) => false,
            Way::Dns01(dns) => !dns.texts(CHALLENGE).is_empty(),
        };
        !is_set && !self.storage.holds("dns-records/")
    }

    /// Serial number of the stored certificate.
    async fn stored(&self, issuer: &str) -> Option<String> {
        let records = CertificateStore::new(Arc::clone(&self.storage) as _);
        let site = self.way.site();
        let subject = site.managed().unwrap();
        match records.load_certificate(issuer, subject).await.unwrap() {
            Stored::Found(certificate) => Some(certificate.serial().to_owned()),
            Stored::Missing | Stored::Damaged(_) => None,
        }
    }
}

impl Life {
    async fn serial(&self) -> Option<String> {
        let name = HostName::parse(NAME).unwrap();
        let served = self.manager.certificate(&name, CLIENT).await;
        served
            .ok()
            .map(|certificate| certificate.serial().to_owned())
    }
}

/// Kills a process at its `n`-th change and checks what the next process does; `false` if there is no such change.
async fn survives(world: &Arc<World>, n: usize, stop: Crash) -> bool {
    let Some(change) = world.killed_at(n, stop).await else {
        return false;
    };
    let case = format!("{stop:?} change {n}: {change}");
    let was_signed = world.ca.certificates() == 1;
    let is_placed = change.starts_with("orders/") && !was_signed;
    // An order that is not ready is replaced by a new one; an order whose URL was not stored is lost.
    let is_unready = is_placed || change.starts_with("dns-records/") || change == "present";
    let is_unknown = is_placed && stop == Crash::Before;

    let crash_point = CrashPoint::never();
    let life = world.start(&crash_point);
    let serial = soon(life.serial()).await;

    assert!(serial.is_some(), "{case}: no certificate");
    assert_eq!(world.ca.certificates(), 1, "{case}");
    let orders = world.ca.count(Step::NewOrder);
    assert_eq!(orders, 1 + usize::from(is_unready), "{case}");
    let pending = world.ca.pending_authorizations();
    assert_eq!(pending, usize::from(is_unknown), "{case}");
    assert_eq!(world.stored(&life.issuer).await, serial, "{case}");
    crash_point.until(|| world.is_clean()).await;
    life.tasks.stop();
    true
}

/// Kills processes at every change that they make; returns the number of changes.
async fn survives_all(scene: impl AsyncFn() -> (Way, ScriptedCa)) -> usize {
    let case = async |n, stop| survives(&World::new(scene().await), n, stop).await;
    let mut n = 0;
    loop {
        let cases = (n..n + AT_ONCE).flat_map(|n| [case(n, Crash::Before), case(n, Crash::After)]);
        let is_change = join_all(cases).await;
        n += is_change.iter().filter(|it| **it).count() / 2;
        if is_change.contains(&false) {
            return n;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_write_costs_no_second_certificate() {
    assert!(survives_all(Way::http01).await > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_write_or_change_of_the_zone_leaves_no_record_in_dns() {
    assert!(survives_all(Way::dns01).await > 14);
}

/// Creates the state that a process leaves behind that is killed after its certificate is stored and before its record is removed.
async fn leave(world: &World, certificate: &str, since: u64) {
    let Way::Dns01(dns) = &world.way else {
        panic!("only dns-01 leaves records")
    };
    dns.txt(CHALLENGE, &["left"]);
    let entry = json!({
        "certificate": certificate, "name": CHALLENGE, "value": "left", "since": since,
    });
    let entry = entry.to_string();
    let key = Key::new(&["dns-records", certificate, "left.json"]);
    let stored = world.storage.store(&key, entry.as_bytes());
    stored.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leftover_record_is_removed_at_the_start_although_nothing_is_ordered() {
    let world = World::new(Way::dns01().await);
    let life = world.start(&CrashPoint::never());
    soon(life.serial()).await.unwrap();
    life.tasks.drain(Duration::from_secs(10)).await;
    assert!(world.is_clean());
    leave(&world, WILDCARD, u64::MAX).await;

    let crash_point = CrashPoint::never();
    let life = world.start(&crash_point);

    crash_point.until(|| world.is_clean()).await;
    assert_eq!(world.ca.count(Step::NewOrder), 1);
    life.tasks.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_removed_is_eventually_forgotten() {
    let world = World::new(Way::dns01().await);
    leave(&world, "*.former.example.org", 1).await;

    let crash_point = CrashPoint::never();
    let life = world.start(&crash_point);

    crash_point
        .until(|| !world.storage.holds("dns-records/"))
        .await;
    life.tasks.stop();
}
