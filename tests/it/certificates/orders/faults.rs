//! Every step of an order with every fault, in one table: the error, the next attempt, the requests that the CA saw, and
//! that nothing is left behind.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use proxy::acme::{
    ChallengeType, Identifier, KeyAuthorization, Options, Presented, Solver, SolverError,
};
use proxy::certs::challenge::Solvers;
use proxy::certs::issuer::{
    AcmeIssuer, Error, InternalCa, InternalCaOptions, IssueRequest, Issuer, Pem,
};
use proxy::certs::{
    AttemptCharges, CertCache, CertManager, CertificateStore, Clock, Issuers, ManagerParts, Policy,
    Ruleset, Standing,
};
use proxy::name::{HostName, HostPattern, NameMap};
use proxy::storage::{FileStorage, Storage};
use proxy::tasks::Tasks;

use crate::harness::ca::http01::Http01;
use crate::harness::ca::scripted::{CertificateFault, Fault, Reply, Script, ScriptedCa, Step};

const CLIENT: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

const NAME: &str = "www.example.org";

/// Number of cases that run at once.
const PARALLEL: usize = 8;

/// Time limit of the proxy for one answer, for a validation and for a certificate.
const PATIENCE: Duration = Duration::from_secs(5);

/// Outcome of one attempt.
struct Outcome {
    cause: String,
    sentence: String,
    wait: Option<Duration>,
    at_step: usize,
    orders: usize,
    pending: usize,
    tokens: usize,
    files: Vec<String>,
}

impl Outcome {
    /// The outcome as the table writes it.
    fn row(&self) -> String {
        let Self { cause, .. } = self;
        let next = match self.wait.map(|wait| wait.as_secs()) {
            None => "none".to_owned(),
            Some(45..=72) => "soon".to_owned(),
            Some(2880..=5400) => "seldom".to_owned(),
            // The delay that the CA asks for begins with its answer.
            Some(7170..=7560) => "asked".to_owned(),
            Some(seconds) => format!("{seconds}s"),
        };
        let requests = match self.at_step {
            few @ 0..=3 => few.to_string(),
            _ => "many".to_owned(),
        };
        let kept = match self.is_kept("orders/") {
            true => "kept",
            false => "-",
        };
        let pending = self.pending;
        let sentence = match self.wait {
            Some(_) => &self.sentence,
            None => "served",
        };
        format!("{cause} {requests} {pending} {kept} {next} {sentence}")
    }

    fn is_kept(&self, folder: &str) -> bool {
        self.files.iter().any(|file| file.starts_with(folder))
    }

    /// Checks that the fault has left nothing behind.
    fn assert_clean(&self, case: &str) {
        assert!(self.orders <= 1, "{case}: {} orders", self.orders);
        assert_eq!(self.tokens, 0, "{case}: a challenge is still up");
        let is_served = self.wait.is_none();
        assert_eq!(self.is_kept("certificates/"), is_served, "{case}");
        assert_eq!(self.is_kept("attempts/"), !is_served, "{case}");
        let known = ["accounts/", "attempts/", "certificates/", "orders/"];
        let strays = self
            .files
            .iter()
            .filter(|file| !known.iter().any(|known| file.starts_with(known)));
        assert_eq!(strays.count(), 0, "{case}: {:?}", self.files);
        // An authorization stays open only if the order is continued, or if the CA did not say which it is.
        let is_unknown = case.starts_with("NewOrder") || case.starts_with("Authorization");
        assert!(
            self.pending == 0 || is_unknown || self.is_kept("orders/"),
            "{case}"
        );
    }
}

/// Records the errors of its issuer with their types.
#[derive(Debug)]
struct Recorder {
    issuer: AcmeIssuer,
    cause: Mutex<String>,
}

impl Issuer for Recorder {
    fn id(&self) -> &str {
        self.issuer.id()
    }

    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
        async move {
            let outcome = self.issuer.issue(request).await;
            *self.cause.lock().unwrap() = outcome.as_ref().map_or_else(cause, |_| "-".to_owned());
            outcome
        }
        .boxed()
    }

    fn forget_order<'a>(&'a self, subject: &'a HostPattern) -> BoxFuture<'a, ()> {
        self.issuer.forget_order(subject)
    }
}

/// Name of the error's variant.
fn cause(error: &Error) -> String {
    let text = match error {
        Error::Acme(error) => format!("{error:?}"),
        error => format!("{error:?}"),
    };
    text.chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect()
}

/// Makes one attempt at a CA that always has this fault at this step.
async fn attempt(step: Step, fault: Fault) -> Outcome {
    let dir = tempfile::TempDir::new().unwrap();
    let port_80 = Arc::new(Http01::start().await);
    let ca = ScriptedCa::start(Script::new().always(step, fault), port_80.port()).await;
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
    let recorder = Arc::new(Recorder {
        issuer: issuer(&ca, &storage, vec![port_80.clone()]),
        cause: Mutex::default(),
    });
    let (manager, tasks) = manager(storage, recorder.clone(), Clock::system());
    let name = HostName::parse(NAME).unwrap();

    let _ = manager.certificate(&name, CLIENT).await;

    let (sentence, wait) = match manager.standing(&name).await {
        Standing::BackingOff { until, reason, .. } => (
            reason,
            Some(until.duration_since(SystemTime::now()).unwrap()),
        ),
        standing => (standing.to_string(), None),
    };
    tasks.stop();
    let cause = recorder.cause.lock().unwrap().clone();
    let host = ca.directory_url().authority().to_owned();
    Outcome {
        cause,
        sentence: without_time(&sentence).replace(&host, "HOST"),
        wait,
        at_step: ca.count(step),
        orders: ca.count(Step::NewOrder),
        pending: ca.pending_authorizations(),
        tokens: port_80.len(),
        files: files(dir.path()),
    }
}

fn without_time(sentence: &str) -> String {
    match sentence.split_once(" expired at ") {
        Some((start, _)) => format!("{start} expired at TIME"),
        None => sentence.to_owned(),
    }
}

fn issuer(
    ca: &ScriptedCa,
    storage: &Arc<dyn Storage>,
    solvers: Vec<Arc<dyn Solver>>,
) -> AcmeIssuer {
    let mut protocol = Options::new(ca.directory_url());
    protocol.root_pem = Some(ca.root_pem().into_bytes());
    protocol.request_timeout = PATIENCE;
    protocol.authorization_timeout = PATIENCE;
    protocol.finalize_timeout = PATIENCE;
    AcmeIssuer::with_protocol(protocol, None, Arc::clone(storage), Solvers::new(solvers)).unwrap()
}

fn manager(
    storage: Arc<dyn Storage>,
    public: Arc<dyn Issuer>,
    clock: Clock,
) -> (CertManager, Tasks) {
    let site = HostPattern::parse(NAME).unwrap();
    let mut policies = NameMap::new();
    policies.insert(site.clone(), Arc::new(Policy::configured(site)));
    let tasks = Tasks::new();
    let manager = proxy::certs::start(ManagerParts {
        ruleset: Ruleset {
            policies,
            issuers: Issuers {
                public: vec![public],
                internal: Arc::new(InternalCa::new(
                    Arc::clone(&storage),
                    InternalCaOptions::default(),
                )),
            },
            preflight: None,
            on_cert: None,
        },
        records: CertificateStore::new(storage),
        cache: Arc::new(CertCache::new(10)),
        clock,
        tasks: tasks.clone(),
    });
    (manager, tasks)
}

#[tokio::test]
async fn a_new_certificate_that_a_fast_clock_calls_expired_is_served_and_kept() {
    let port_80 = Arc::new(Http01::start().await);
    let script = Script::new().lifetime(Duration::from_secs(3600));
    let ca = ScriptedCa::start(script, port_80.port()).await;
    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
    let fast = Clock::simulated(SystemTime::now() + Duration::from_secs(24 * 3600));
    let name = HostName::parse(NAME).unwrap();
    let mut served = Vec::new();

    for start in ["first", "after a restart"] {
        let solvers: Vec<Arc<dyn Solver>> = vec![port_80.clone()];
        let issuer = Arc::new(issuer(&ca, &storage, solvers));
        let (manager, tasks) = manager(Arc::clone(&storage), issuer, fast);
        let certificate = manager.certificate(&name, CLIENT).await;
        served.push(certificate.expect(start).serial().to_owned());
        assert_eq!(manager.stats().expired, 1, "{start}");
        tasks.stop();
    }

    assert_eq!(served[0], served[1]);
    assert_eq!(ca.count(Step::NewOrder), 1, "no order more than is needed");
}

fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(dir)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path().is_dir() {
                true => folders.push(entry.path()),
                false => found.push(
                    entry
                        .path()
                        .strip_prefix(dir)
                        .unwrap()
                        .display()
                        .to_string(),
                ),
            }
        }
    }
    found.sort();
    found
}

/// Faults by their names in the table.
fn fault(word: &str) -> Fault {
    let busy = |status, kind| {
        Fault::Answer(Reply::problem(status, kind, "not now").header("retry-after", "7200"))
    };
    match word {
        "status-404" => Fault::Answer(Reply::new(404, "")),
        "status-500" => Fault::Answer(Reply::new(500, "<h1>Oops</h1>")),
        "unauthorized" => Fault::Answer(Reply::problem(403, "unauthorized", "no luck")),
        "rejected" => Fault::Answer(Reply::problem(400, "rejectedIdentifier", "no luck")),
        "rate-limited" => busy(429, "rateLimited"),
        "busy" => busy(503, "serverInternal"),
        "late" => Fault::Late(Duration::from_millis(300)),
        "never" => Fault::Never,
        "garbage" => Fault::Answer(Reply::new(200, "all is well")),
        "endless" => Fault::Endless,
        "cut-before" => Fault::CutBefore,
        "cut-after" => Fault::CutAfter,
        "wrong-key" => Fault::Certificate(CertificateFault::Key),
        "wrong-names" => Fault::Certificate(CertificateFault::Names),
        "wrong-expired" => Fault::Certificate(CertificateFault::Expired),
        "wrong-garbage" => Fault::Certificate(CertificateFault::Garbage),
        _ => panic!("no fault is called {word}"),
    }
}

fn step(word: &str) -> Step {
    let mut steps = Step::ALL.into_iter();
    steps.find(|step| format!("{step:?}") == word).unwrap()
}

/// Row of the table for the outcome.
async fn walk(case: &str) -> String {
    let (at, word) = case.split_once(' ').unwrap();
    let outcome = attempt(step(at), fault(word)).await;
    outcome.assert_clean(case);
    format!("{case} {}", outcome.row())
}

/// Columns of each row: step, fault, cause, requests at that step, authorizations left pending, whether the order is kept
/// for the next attempt, when that is due, and the standing's sentence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_every_step_ends_as_the_table_says() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/order_faults.txt");
    let table = std::fs::read_to_string(table).unwrap();
    let rows = table
        .lines()
        .filter(|row| !row.is_empty() && !row.starts_with('#'));
    let rows = rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
    let walks = rows.map(|row| async move {
        let case = row.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let found = walk(&case).await;
        (found != row).then(|| format!("table: {row}\nfound: {found}\n"))
    });
    let walks: Vec<_> = walks.collect();
    assert!(walks.len() > 100, "only {} rows", walks.len());
    let wrong: Vec<_> = stream::iter(walks)
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let wrong: String = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// A solver that only claims that its challenge is published.
struct Claims(ChallengeType);

impl Solver for Claims {
    fn challenge_type(&self) -> ChallengeType {
        self.0.clone()
    }

    fn present<'a>(
        &'a self,
        _: &'a Identifier,
        _: &'a str,
        _: &'a KeyAuthorization,
    ) -> BoxFuture<'a, Result<Presented, SolverError>> {
        let (_, seen) = tokio::sync::watch::channel(false);
        async { Ok(Presented::new(seen, || ())) }.boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_places_three_orders_at_most_however_many_types_there_are() {
    use ChallengeType::{Dns01, DnsPersist01, Http01, TlsAlpn01};
    let dir = tempfile::TempDir::new().unwrap();
    // Port 1 has no listener.
    let ca = ScriptedCa::start(Script::new().offering(&["tls-alpn-01", "dns-01"]), 1).await;
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
    let types = [Http01, TlsAlpn01, Dns01, DnsPersist01];
    let solvers = types.map(|kind| Arc::new(Claims(kind)) as Arc<dyn Solver>);

    let error = issuer(&ca, &storage, solvers.into())
        .issue(IssueRequest {
            subject: &HostPattern::parse(NAME).unwrap(),
            charges: &AttemptCharges::free(),
            clock: Clock::system(),
            replaces: None,
        })
        .await
        .unwrap_err();

    assert_eq!(ca.count(Step::NewOrder), 3, "{error}");
    assert_eq!(error.challenges(), ["http-01", "tls-alpn-01", "dns-01"]);
    assert_eq!(error.failed_authorizations(), 3);
}
