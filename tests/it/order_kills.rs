//! A process that is killed at any of the writes of an order: the next one serves the one certificate that was signed.

use std::sync::Arc;

use proxy::acme::{Options, Solver};
use proxy::certs::challenge::Solvers;
use proxy::certs::issuer::{AcmeIssuer, InternalCa, InternalCaOptions};
use proxy::certs::{CertCache, CertManager, Clock, Issuers, ManagerParts, Policy, Records, Stored};
use proxy::name::{HostName, HostPattern, NameMap};
use proxy::storage::Storage;
use proxy::tasks::Tasks;
use tokio::runtime::Builder;

use crate::harness::http01::Http01;
use crate::harness::memory_storage::MemoryStorage;
use crate::harness::raw::soon;
use crate::harness::scripted_ca::{Script, ScriptedCa, Step};
use crate::harness::stopping_storage::{Stop, StoppingStorage};

const NAME: &str = "www.example.org";
const CLIENT: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A CA, and what outlives a process.
struct World {
    ca: ScriptedCa,
    solver: Arc<dyn Solver>,
    storage: Arc<dyn Storage>,
}

/// One process.
struct Life {
    manager: CertManager,
    tasks: Tasks,
    issuer: String,
}

impl World {
    async fn new() -> Self {
        let port_80 = Http01::start().await;
        Self {
            ca: ScriptedCa::start(Script::new(), port_80.port()).await,
            solver: Arc::new(port_80),
            storage: Arc::new(MemoryStorage::default()),
        }
    }

    fn start(&self, storage: &Arc<dyn Storage>) -> Life {
        let mut protocol = Options::new(self.ca.directory_url());
        protocol.root_pem = Some(self.ca.root_pem().into_bytes());
        let solvers = Solvers::new(vec![Arc::clone(&self.solver)]);
        let issuer = AcmeIssuer::over(protocol, None, Arc::clone(storage), solvers).unwrap();
        let site = HostPattern::parse(NAME).unwrap();
        let mut policies = NameMap::new();
        policies.insert(site.clone(), Arc::new(Policy::configured(site)));
        let internal = InternalCa::new(Arc::clone(storage), InternalCaOptions::default());
        let tasks = Tasks::new();
        let id = proxy::certs::issuer::Issuer::id(&issuer).to_owned();
        let manager = CertManager::start(ManagerParts {
            policies,
            issuers: Issuers {
                public: vec![Arc::new(issuer)],
                internal: Arc::new(internal),
            },
            records: Records::new(Arc::clone(storage)),
            cache: Arc::new(CertCache::new(10)),
            preflight: None,
            on_cert: None,
            clock: Clock::system(),
            tasks: tasks.clone(),
        });
        Life {
            manager,
            tasks,
            issuer: id,
        }
    }

    /// Where the process is killed at its `n`-th change of the storage; none when it makes fewer.
    async fn killed_at(self: &Arc<Self>, n: usize, stop: Stop) -> Option<String> {
        let world = Arc::clone(self);
        let life = async move {
            let inner = Arc::clone(&world.storage);
            let stopping = Arc::new(StoppingStorage::new(inner, n, stop));
            let storage: Arc<dyn Storage> = stopping.clone();
            let life = world.start(&storage);
            tokio::select! {
                key = stopping.stopped() => Some(key),
                served = life.serial() => {
                    served.unwrap();
                    None
                }
            }
        };
        // All that runs in it goes with it, at whatever it waits for.
        let process = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let at = soon(process.spawn(life)).await.unwrap();
        process.shutdown_background();
        at
    }

    /// The serial number of the stored certificate.
    async fn stored(&self, issuer: &str) -> Option<String> {
        let records = Records::new(Arc::clone(&self.storage));
        let subject = HostPattern::parse(NAME).unwrap();
        match records.load_certificate(issuer, &subject).await.unwrap() {
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

/// Kills a process at its `n`-th change and looks at what the next one makes of it; `false` when there is no such change.
async fn survives(n: usize, stop: Stop) -> bool {
    let world = Arc::new(World::new().await);
    let Some(key) = world.killed_at(n, stop).await else {
        return false;
    };
    let case = format!("{stop:?} change {n}, of {key}");
    let was_signed = world.ca.certificates() == 1;
    // An order that is not ready is given up for a new one; of one whose URL was not written nobody knows.
    let is_unready = key.starts_with("orders/") && !was_signed;
    let is_unknown = is_unready && stop == Stop::Before;

    let life = world.start(&world.storage);
    let serial = soon(life.serial()).await;

    assert!(serial.is_some(), "{case}: no certificate");
    assert_eq!(world.ca.certificates(), 1, "{case}");
    let orders = world.ca.count(Step::NewOrder);
    assert_eq!(orders, 1 + usize::from(is_unready), "{case}");
    let pending = world.ca.pending_authorizations();
    assert_eq!(pending, usize::from(is_unknown), "{case}");
    assert_eq!(world.stored(&life.issuer).await, serial, "{case}");
    life.tasks.stop();
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_write_costs_no_second_certificate() {
    for stop in [Stop::Before, Stop::After] {
        let mut n = 0;
        while survives(n, stop).await {
            n += 1;
        }
        assert!(n > 10, "only {n} changes");
    }
}
