//! Measures the cost of many stored names: the time from start to ready, memory per name, the look-up of a
//! cached and of an uncached name, and CPU at rest.
//!
//! `cargo bench --bench names [-- COUNT]`, by default a million names, which takes some 12 GB of
//! disk in the folder for temporary files (`TMPDIR`) while it runs; `cargo test` runs it with few.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proxy::certs::issuer::{Error, IssueRequest, Issuer, Pem};
use proxy::certs::{
    Ask, CertCache, Certificate, CertificateStore, Clock, Issuers, ManagerParts, OnDemandOptions,
    Policy, RenewalPlan, Ruleset,
};
use proxy::name::{HostName, HostPattern};
use proxy::storage::{FileStorage, Key};
use proxy::tasks::Tasks;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::time::Instant;

const DAY: u64 = 24 * 3600;
const CLIENT: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// A CA that does not exist, and the name of its folder.
const DIRECTORY: &str = "https://127.0.0.1:9/dir";
const ISSUER: &str = "127.0.0.1-9-dir";
/// Number of names that are looked up; they fit into the cache.
const LOOKUPS: usize = 9000;
/// Ticks of CPU time per second, the unit in which Linux reports a process's CPU time.
const TICKS: f64 = 100.0;

fn main() {
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let asked = std::env::args().find_map(|arg| arg.parse().ok());
    let count = asked.unwrap_or(if is_bench { 1_000_000 } else { 1000 });
    let rest = Duration::from_secs(if is_bench { 60 } else { 1 });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let start = runtime.block_on(async { Instant::now() });
    make_store(dir.path(), count);
    println!("{count} stored names, made in {:.0?}", start.elapsed());
    runtime.block_on(look_up(dir.path(), count));
    run_proxy(dir.path(), count, rest);
}

fn name(index: usize) -> String {
    format!("shop-{index}.customers.example.net")
}

/// Writes the records as a proxy stores them, but without a sync for each. All certificates share one
/// key, which saves time here and changes nothing for the proxy.
fn make_store(dir: &Path, count: usize) {
    let key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let workers = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (key, ca) = (&key, &ca);
            scope.spawn(move || {
                for index in (worker..count).step_by(workers) {
                    store(dir, index, key, ca);
                }
            });
        }
    });
}

fn store(dir: &Path, index: usize, key: &KeyPair, ca: &rcgen::CertifiedIssuer<'static, KeyPair>) {
    let name = name(index);
    let mut params = CertificateParams::new([name.clone()]).unwrap();
    // Of all ages at which no renewal is due.
    let age = Duration::from_secs(DAY + index as u64 * 7919 % (40 * DAY));
    let start = SystemTime::now() - age;
    params.serial_number = Some((index as u64 + 1).into());
    params.not_before = start.into();
    params.not_after = (start + Duration::from_secs(90 * DAY)).into();
    params.use_authority_key_identifier_extension = true;
    let leaf = params.signed_by(key, ca).unwrap();
    let pem = format!("{}{}", leaf.pem(), key.serialize_pem());
    let folder = dir.join(Key::new(&["certificates", ISSUER, &name]).as_str());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("certificate.pem"), &pem).unwrap();
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    let subject = HostPattern::parse(&name).unwrap();
    let plan = RenewalPlan::new(&subject, &certificate, start);
    fs::write(
        folder.join("renewal.json"),
        serde_json::to_vec_pretty(&plan).unwrap(),
    )
    .unwrap();
}

/// An issuer that signs nothing.
#[derive(Debug)]
struct Nobody;

impl Issuer for Nobody {
    fn id(&self) -> &'static str {
        ISSUER
    }

    fn issue<'a>(&'a self, _: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
        async { Err(Error::NoSubject) }.boxed()
    }
}

async fn look_up(dir: &Path, count: usize) {
    let tasks = Tasks::new();
    let ask = OnDemandOptions::new("http://127.0.0.1:9/ask".parse().unwrap());
    let policy = Policy::on_demand(HostPattern::Any, Arc::new(Ask::new(&ask).unwrap()));
    let issuer: Arc<dyn Issuer> = Arc::new(Nobody);
    let manager = proxy::certs::start(ManagerParts {
        ruleset: Ruleset {
            policies: [(HostPattern::Any, Arc::new(policy))].into_iter().collect(),
            issuers: Issuers {
                public: vec![Arc::clone(&issuer)],
                internal: issuer,
            },
            preflight: None,
            on_cert: None,
        },
        records: CertificateStore::new(Arc::new(FileStorage::open(dir).unwrap())),
        cache: Arc::new(CertCache::new(10_000)),
        clock: Clock::system(),
        tasks: tasks.clone(),
    });
    let lookups = LOOKUPS.min(count);
    for kind in ["uncached", "cached"] {
        let mut times = Vec::with_capacity(lookups);
        for index in 0..lookups {
            let name = HostName::parse(&name(index * (count / lookups))).unwrap();
            let start = Instant::now();
            manager.certificate(&name, CLIENT).await.unwrap();
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        println!(
            "look-up of a name, {kind}: p50 {:.1?}, p99 {:.1?}",
            at(50),
            at(99)
        );
    }
    tasks.drain(Duration::ZERO).await;
}

/// The real proxy on that storage.
fn run_proxy(dir: &Path, count: usize, rest: Duration) {
    let start = SystemTime::now();
    let mut proxy = Process::start(dir);
    let stdout = BufReader::new(proxy.0.stdout.take().unwrap());
    let mut lines = stdout.lines().map(Result::unwrap);
    let ready = lines.find(|line| line.starts_with("ready"));
    ready.expect("the proxy should get ready");
    println!("start to ready: {:.0?}", start.elapsed().unwrap());
    let before = proxy.memory();
    let start = SystemTime::now();
    let log = BufReader::new(proxy.0.stderr.take().unwrap());
    let mut log = log.lines().map(Result::unwrap);
    let sweep = log.find(|line| line.contains("stored certificates checked"));
    let sweep = sweep.expect("the proxy should sweep its store");
    println!("walk over the store: {:.0?}", start.elapsed().unwrap());
    let watched = format!("watched={count}");
    assert!(sweep.contains(&watched), "{watched}: {sweep}");
    let after = proxy.memory();
    let each = after.saturating_sub(before) as f64 / count as f64;
    println!(
        "memory: {} MiB when ready, {} MiB with all names watched, {each:.0} bytes a name",
        before >> 20,
        after >> 20
    );
    let cpu = proxy.cpu();
    std::thread::park_timeout(rest);
    let minute = (proxy.cpu() - cpu) * 60.0 / rest.as_secs_f64();
    println!("CPU at rest: {minute:.2} s a minute");
}

/// A running proxy; dropping the value kills it.
struct Process(Child);

impl Process {
    fn start(dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proxy"));
        command
            .args(["--upstream", "127.0.0.1:9", "--acme-directory", DIRECTORY])
            .args(["--on-demand-ask", "http://127.0.0.1:9/ask"])
            .args([
                "--listen-http",
                "127.0.0.1:0",
                "--listen-https",
                "127.0.0.1:0",
            ])
            .arg(format!("--storage=file:{}", dir.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap()
    }

    /// Resident memory in bytes.
    fn memory(&self) -> usize {
        let status = self.read("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<usize>().unwrap() * 1024
    }

    /// Seconds of CPU time used so far.
    fn cpu(&self) -> f64 {
        let stat = self.read("stat");
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields = fields.split_whitespace().collect::<Vec<_>>();
        let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
