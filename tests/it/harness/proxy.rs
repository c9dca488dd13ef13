//! The proxy as users run it: the real binary in a process of its own.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use proxy::tasks::Tasks;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::harness::backends::web_app::App;
pub(crate) use crate::harness::binary::command;
use crate::harness::binary::{pass, prepared};
use crate::harness::clients::https::Client;
use crate::harness::output_lines::{PATIENCE, follow, lines_for_names, wait_for};
use crate::harness::ports::ProxyPorts;
use crate::harness::successors::Successors;
use crate::harness::wrong_clock::WrongClock;

/// Settings of a proxy that is not started yet.
pub(crate) struct ProxySetup {
    dir: TempDir,
    ports: ProxyPorts,
    args: Vec<String>,
    open_files: Option<String>,
    hosts_file: Option<PathBuf>,
    has_preflight: bool,
    says_addresses: bool,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    storage: Option<String>,
    environment: Vec<(String, String)>,
    passed: Vec<(String, OwnedFd)>,
}

impl ProxySetup {
    /// A proxy on free ports with a new data directory.
    pub(crate) fn new() -> Self {
        Self::on(ProxyPorts::reserve())
    }

    /// A proxy on ports that were reserved for it.
    pub(crate) fn on(ports: ProxyPorts) -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            ports,
            args: Vec::new(),
            open_files: None,
            hosts_file: None,
            has_preflight: false,
            says_addresses: true,
            stdout: None,
            stderr: None,
            storage: None,
            environment: Vec::new(),
            passed: Vec::new(),
        }
    }

    /// Uses the storage of another proxy.
    pub(crate) fn sharing(mut self, storage: &str) -> Self {
        self.storage = Some(storage.to_owned());
        self
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Passes a socket under this name, as systemd does.
    pub(crate) fn pass(mut self, name: &str, socket: impl Into<OwnedFd>) -> Self {
        self.passed.push((name.to_owned(), socket.into()));
        self
    }

    /// Turns preflight on. It is off in other tests, because it asks the system's DNS.
    pub(crate) fn preflight(mut self) -> Self {
        self.has_preflight = true;
        self
    }

    /// Gives the process this standard output, which the test reads itself.
    pub(crate) fn stdout(mut self, stdout: OwnedFd) -> Self {
        self.stdout = Some(stdout);
        self
    }

    /// Gives the process this standard error, which the test reads itself.
    pub(crate) fn stderr(mut self, stderr: OwnedFd) -> Self {
        self.stderr = Some(stderr);
        self
    }

    /// Leaves the addresses of the listeners to the Proxyfile.
    pub(crate) fn addresses_by_file(mut self) -> Self {
        self.says_addresses = false;
        self
    }

    pub(crate) fn args<A: ToString>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.to_string()));
        self
    }

    /// Replaces the system's roots by those in this file.
    pub(crate) fn system_roots(self, pem: &Path) -> Self {
        self.env("SSL_CERT_FILE", &pem.display().to_string())
    }

    /// Gives the process this clock.
    pub(crate) fn clock(mut self, clock: &WrongClock) -> Self {
        self.environment.extend(clock.variables());
        self
    }

    /// Limits the process to `count` open files.
    pub(crate) fn open_files(mut self, count: u64) -> Self {
        self.open_files = Some(format!("ulimit -n {count}"));
        self
    }

    /// Limits the process to `soft` open files, which it may raise to `hard`.
    pub(crate) fn raisable_files(mut self, soft: u64, hard: u64) -> Self {
        self.open_files = Some(format!("ulimit -Sn {soft} && ulimit -Hn {hard}"));
        self
    }

    /// Gives the process this file for `/etc/hosts`, in a mount namespace of its own.
    pub(crate) fn hosts_file(mut self, path: &Path) -> Self {
        self.hosts_file = Some(path.to_owned());
        self
    }

    /// Serves the app as `localhost`, with a certificate of the internal CA.
    pub(crate) fn local(self, app: &App) -> Self {
        self.args([
            "--upstream",
            &app.address.to_string(),
            "--domain",
            "localhost",
        ])
    }

    /// Serves the app under every name that it allows, as quick mode with `--on-demand-ask` does.
    pub(crate) fn on_demand(self, app: &App) -> Self {
        let ask = format!("http://{}/ask", app.address);
        let upstream = app.address.to_string();
        self.args(["--upstream", &upstream, "--on-demand-ask", &ask])
    }

    /// Sends orders to this CA.
    pub(crate) fn ca(self, directory: &url::Url, root_pem: &str) -> Self {
        let root = self.file("ca.pem", root_pem);
        let root = root.display().to_string();
        self.args(["--acme-directory", directory.as_str(), "--acme-root", &root])
    }

    /// Runs from this Proxyfile instead of flags alone.
    pub(crate) fn proxyfile(self, text: &str) -> Self {
        let path = self.file("Proxyfile", text);
        self.args(["run", "--config", &path.display().to_string()])
    }

    /// Writes a file next to the data directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.ports.http()
    }

    pub(crate) fn https(&self) -> SocketAddr {
        self.ports.https()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts the proxy and waits until both listeners accept connections.
    pub(crate) async fn start(mut self) -> Proxy {
        let mut command = match (&self.open_files, &self.hosts_file) {
            (Some(limit), _) => prepared("sh", &[], limit),
            (None, Some(hosts)) => {
                let mount = format!("mount --bind '{}' /etc/hosts", hosts.display());
                prepared("unshare", &["-rm", "sh"], &mount)
            }
            (None, None) => command(),
        };
        let storage = self.storage.take();
        let storage = storage.unwrap_or_else(|| format!("file:{}", self.data().display()));
        command.args(&self.args).args(["--storage", &storage]);
        if self.says_addresses {
            command
                .args(["--listen-http", &self.http().to_string()])
                .args(["--listen-https", &self.https().to_string()]);
        }
        if !self.has_preflight {
            command.arg("--no-preflight");
        }
        command.envs(self.environment.clone());
        pass(std::mem::take(&mut self.passed), &mut command);
        let is_followed = self.stdout.is_none();
        let mut proxy = Proxy::spawn(command, self);
        if is_followed {
            proxy.output("ready http=").await;
        } else {
            proxy.accepts().await;
        }
        proxy
    }
}

/// A running proxy; dropping the value kills it.
pub(crate) struct Proxy {
    child: Child,
    output: watch::Receiver<String>,
    log: watch::Receiver<String>,
    setup: ProxySetup,
    readers: Tasks,
    successors: Successors,
}

impl Proxy {
    fn spawn(mut command: Command, mut setup: ProxySetup) -> Self {
        let mut child = command
            .stdout(setup.stdout.take().map_or_else(Stdio::piped, Stdio::from))
            .stderr(setup.stderr.take().map_or_else(Stdio::piped, Stdio::from))
            .spawn()
            .unwrap();
        let readers = Tasks::new();
        let output = follow(child.stdout.take(), &readers);
        let log = follow(child.stderr.take(), &readers);
        Self {
            child,
            output,
            log,
            setup,
            readers,
            successors: Successors::default(),
        }
    }

    /// Upgrades the proxy by its command, and returns the number of the process that serves then. The log goes on as that of
    /// the first one.
    pub(crate) async fn upgrade(&mut self) -> Pid {
        let storage = format!("file:{}", self.data().display());
        let told = command().args(["upgrade", "--storage", &storage]).output();
        let told = told.await.unwrap();
        assert!(told.status.success(), "{told:?}: {}", self.log());
        let told = String::from_utf8(told.stdout).unwrap();
        let pid = told.split_whitespace().nth(2).unwrap();
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        self.adopt(pid);
        pid
    }

    /// Ends this process with the proxy, which it has not started itself.
    pub(crate) fn adopt(&mut self, pid: Pid) {
        self.successors.add(pid);
    }

    /// Waits until the first process has ended, though its successors write to its log.
    pub(crate) async fn first_ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the first process does not end").unwrap()
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.setup.http()
    }

    pub(crate) fn https(&self) -> SocketAddr {
        self.setup.https()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.setup.data()
    }

    /// Root certificate of this proxy's internal CA.
    pub(crate) fn internal_root(&self) -> String {
        std::fs::read_to_string(self.data().join("internal-ca/root.pem")).unwrap()
    }

    /// A client that trusts only that root.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.internal_root())
    }

    /// A client that trusts only that root and speaks only TLS 1.2.
    pub(crate) fn tls12_client(&self) -> Client {
        Client::speaking(&[&rustls::version::TLS12], &self.internal_root())
    }

    /// Waits until the listener for HTTPS accepts connections.
    async fn accepts(&self) {
        let accepted = async {
            while TcpStream::connect(self.https()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        let waited = timeout(PATIENCE, accepted).await;
        waited.expect("the proxy does not accept connections");
    }

    /// Waits until standard output has a line with `part`, and returns it.
    pub(crate) async fn output(&mut self, part: &str) -> String {
        wait_for(&mut self.output, part, &self.log).await
    }

    /// Waits until the log has a line with `part`, and returns it.
    pub(crate) async fn logged(&mut self, part: &str) -> String {
        let log = self.log.clone();
        wait_for(&mut self.log, part, &log).await
    }

    /// Waits until the log lines with `part` are about `total` names, and returns them.
    pub(crate) async fn logged_for_names(&mut self, part: &str, total: usize) -> Vec<String> {
        lines_for_names(&mut self.log, part, total).await
    }

    /// Replaces the Proxyfile, reloads it, and returns the log line about it.
    pub(crate) async fn reload(&mut self, text: &str) -> String {
        self.reload_by(|proxy| {
            proxy.file("Proxyfile", text);
            proxy.signal(Signal::HUP);
        })
        .await
    }

    /// Makes a change that causes a reload, and returns the log line about that.
    pub(crate) async fn reload_by(&mut self, change: impl FnOnce(&Self)) -> String {
        const OUTCOMES: [&str; 2] = ["configuration reloaded", "configuration not reloaded"];
        let is_outcome = |line: &&str| OUTCOMES.iter().any(|part| line.contains(part));
        let outcomes = |log: &str| {
            let outcomes = log.lines().filter(is_outcome).map(str::to_owned);
            outcomes.collect::<Vec<_>>()
        };
        let before = outcomes(&self.log()).len();
        change(self);
        let is_there = |log: &String| outcomes(log).len() > before;
        let waited = timeout(PATIENCE, self.log.wait_for(is_there)).await;
        let log = waited.expect("nothing is said of the reload").unwrap();
        outcomes(&log).remove(before)
    }

    /// Writes a file next to the data directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        self.setup.file(name, text)
    }

    /// Returns the log so far.
    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until the process has ended and all its output is read.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        self.readers.drain(PATIENCE).await;
        ended.expect("the proxy does not end").unwrap()
    }

    /// Kills the process at once and returns its setup with the data as it left it.
    pub(crate) async fn kill(mut self) -> ProxySetup {
        self.signal(Signal::KILL);
        self.ended().await;
        self.setup
    }

    /// Lets the process drain and returns its setup.
    pub(crate) async fn stop(mut self) -> ProxySetup {
        self.signal(Signal::TERM);
        assert!(self.ended().await.success(), "{}", self.log());
        self.setup
    }
}
