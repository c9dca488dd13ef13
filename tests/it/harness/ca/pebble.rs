//! Pebble, the ACME server that the protocol's authors test clients with, and its DNS server, each as a real process.
//!
//! Start one per test file where possible, and place at most two orders at once: Pebble can deadlock under more.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use url::Url;

use crate::harness::ca::pki::TestCa;
use crate::harness::ports::Reservation;

/// Time limit for Pebble to make its RSA keys and to listen.
const START: Duration = Duration::from_secs(20);

/// Behaviour of a Pebble.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PebbleOptions {
    /// Port at which it fetches http-01 challenges.
    pub(crate) http_port: u16,
    /// Port to which it connects for tls-alpn-01 challenges.
    pub(crate) tls_port: u16,
    /// DNS server that it asks instead of its own.
    pub(crate) dns: Option<SocketAddr>,
    /// Percentage of good nonces that it refuses.
    pub(crate) nonce_reject: u8,
    /// Percentage of orders that may reuse a valid authorization.
    pub(crate) authz_reuse: u8,
    /// Treats every name as proved without validation.
    pub(crate) always_valid: bool,
    /// External account binding that a new account needs, as key id and key; empty lets anybody register.
    pub(crate) external_account: Option<(&'static str, &'static str)>,
    /// Profiles on offer, each with the lifetime of its certificates in days.
    pub(crate) profiles: &'static [(&'static str, u64)],
    /// Number of alternate chains.
    pub(crate) alternate_roots: usize,
}

impl PebbleOptions {
    /// Options of a Pebble that validates on `http_port`, refuses no nonce and validates each order anew.
    pub(crate) fn new(http_port: u16) -> Self {
        Self {
            http_port,
            tls_port: 1,
            dns: None,
            nonce_reject: 0,
            authz_reuse: 0,
            always_valid: false,
            external_account: None,
            profiles: &[("default", 90)],
            alternate_roots: 0,
        }
    }

    /// Options of a Pebble that treats every name as proved.
    pub(crate) fn trusting() -> Self {
        Self {
            always_valid: true,
            ..Self::new(1)
        }
    }
}

/// A running Pebble for which every name resolves to 127.0.0.1; dropping the value kills it.
pub(crate) struct Pebble {
    listen: SocketAddr,
    management: SocketAddr,
    dns: [SocketAddr; 2],
    api_root: TestCa,
    http: reqwest::Client,
    directory: Value,
    _dns: Process,
    _pebble: Process,
    _dir: TempDir,
}

impl Pebble {
    /// Starts Pebble and waits until it answers. `PEBBLE` and `CHALLTESTSRV` name the programs where they are not in the path.
    pub(crate) async fn start(options: PebbleOptions) -> Self {
        let dir = TempDir::new().unwrap();
        let root = TestCa::root("test root of Pebble's API");
        let dns_at = Reservation::new();
        let listen = Reservation::new();
        let management = Reservation::new();
        write_config(&dir, &root, &options, [&listen, &management]);
        let addresses = (dns_at.address(), listen.address(), management.address());
        let (dns_address, listen_address, management_address) = addresses;
        drop(dns_at);
        let dns_management = Reservation::new().address();
        let dns = spawn_dns(&dir, [dns_address, dns_management]);
        drop((listen, management));
        let mut pebble = spawn_pebble(&dir, &options, options.dns.unwrap_or(dns_address));
        let http = http_client(&root);
        let url = format!("https://{listen_address}/dir");
        let directory = wait_until_ready(&http, &url, &mut pebble).await;
        Self {
            listen: listen_address,
            management: management_address,
            dns: [dns_address, dns_management],
            api_root: root,
            http,
            directory,
            _dns: dns,
            _pebble: pebble,
            _dir: dir,
        }
    }

    /// URL of the directory, which the client is given.
    pub(crate) fn directory_url(&self) -> Url {
        format!("https://{}/dir", self.listen).parse().unwrap()
    }

    /// Root certificate of the API's own HTTPS.
    pub(crate) fn root_pem(&self) -> String {
        self.api_root.pem()
    }

    /// Root certificate that the issued certificates chain to.
    pub(crate) async fn issuance_root(&self) -> String {
        self.root(0).await
    }

    /// Root certificate of the alternate chain with this number, counted from 1.
    pub(crate) async fn root(&self, number: usize) -> String {
        self.manage(&format!("roots/{number}")).await
    }

    /// Returns the reason why the certificate with this serial number is revoked; none if it is not.
    pub(crate) async fn revocation(&self, serial: &str) -> Value {
        let path = format!("cert-status-by-serial/{serial}");
        serde_json::from_str(&self.manage(&path).await).unwrap()
    }

    /// Makes it say from now on that this certificate should have been renewed an hour ago.
    pub(crate) async fn hurry(&self, certificate: &str) {
        let before = |hours: u64| {
            let time = SystemTime::now() - Duration::from_secs(3600 * hours);
            humantime::format_rfc3339_seconds(time).to_string()
        };
        let info = json!({ "suggestedWindow": { "start": before(2), "end": before(1) } });
        let told = json!({ "Certificate": certificate, "ARIResponse": info.to_string() });
        let url = format!("https://{}/set-renewal-info/", self.management);
        let answer = self.http.post(url).body(told.to_string()).send().await;
        assert!(answer.unwrap().status().is_success());
    }

    async fn manage(&self, path: &str) -> String {
        let url = format!("https://{}/{path}", self.management);
        let answer = self.http.get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// Returns `true` if this Pebble has profiles, which came with 2.7.
    pub(crate) fn has_profiles(&self) -> bool {
        self.directory["meta"].get("profiles").is_some()
    }

    /// Address of the DNS server that Pebble asks, unless its options name another one.
    pub(crate) fn dns(&self) -> SocketAddr {
        self.dns[0]
    }

    /// URL at which that server takes records, as in `POST /set-txt`.
    pub(crate) fn dns_management(&self) -> SocketAddr {
        self.dns[1]
    }

    /// Returns `true` if this Pebble says when to renew (RFC 9773), which came with 2.6.
    pub(crate) fn has_renewal_info(&self) -> bool {
        self.directory.get("renewalInfo").is_some()
    }
}

fn write_config(
    dir: &TempDir,
    root: &TestCa,
    options: &PebbleOptions,
    [listen, management]: [&Reservation; 2],
) {
    let (certificate, key) = root.loopback();
    let certificate_path = dir.path().join("api.pem");
    let key_path = dir.path().join("api.key");
    std::fs::write(&certificate_path, certificate.pem()).unwrap();
    std::fs::write(&key_path, key.serialize_pem()).unwrap();
    let profiles = options.profiles.iter().map(|(name, days)| {
        let profile = json!({ "description": "a test's", "validityPeriod": days * 24 * 3600 });
        ((*name).to_owned(), profile)
    });
    let profiles: serde_json::Map<_, _> = profiles.collect();
    let accounts = options.external_account.map(|(id, key)| json!({ id: key }));
    let config = json!({ "pebble": {
        "listenAddress": listen.address(),
        "managementListenAddress": management.address(),
        "certificate": certificate_path,
        "privateKey": key_path,
        "httpPort": options.http_port,
        "tlsPort": options.tls_port,
        "certificateValidityPeriod": 7_776_000,
        "profiles": profiles,
        "externalAccountBindingRequired": accounts.is_some(),
        "externalAccountMACKeys": accounts.unwrap_or_else(|| json!({})),
    }});
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
}

fn spawn_dns(dir: &TempDir, [address, management]: [SocketAddr; 2]) -> Process {
    let program = program("CHALLTESTSRV", "pebble-challtestsrv");
    let help = Command::new(&program).arg("-help").output();
    let help = help
        .unwrap_or_else(|error| missing(&program, &error))
        .stderr;
    let help = String::from_utf8_lossy(&help);
    let mut command = Command::new(&program);
    for off in ["-http01", "-https01", "-tlsalpn01"] {
        command.args([off, ""]);
    }
    match help.contains("-dnsserver") {
        true => command.args(["-dnsserver", &address.to_string(), "-doh", ""]),
        false => command.args(["-dns01", &address.to_string()]),
    };
    command.args([
        "-management",
        &management.to_string(),
        "-defaultIPv4",
        "127.0.0.1",
        "-defaultIPv6",
        "",
    ]);
    Process::spawn(dir, &program, command)
}

fn spawn_pebble(dir: &TempDir, options: &PebbleOptions, dns: SocketAddr) -> Process {
    let program = program("PEBBLE", "pebble");
    let mut command = Command::new(&program);
    command
        .arg("-config")
        .arg(dir.path().join("config.json"))
        .args(["-dnsserver", &dns.to_string(), "-strict"])
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_WFE_NONCEREJECT", options.nonce_reject.to_string())
        .env("PEBBLE_AUTHZREUSE", options.authz_reuse.to_string())
        .env(
            "PEBBLE_ALTERNATE_ROOTS",
            options.alternate_roots.to_string(),
        )
        .env(
            "PEBBLE_VA_ALWAYS_VALID",
            u8::from(options.always_valid).to_string(),
        );
    Process::spawn(dir, &program, command)
}

fn http_client(root: &TestCa) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(root.pem().as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([root])
        .no_proxy()
        .user_agent("test")
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

/// A process of another program cannot be awaited, so the test polls it until it answers.
async fn wait_until_ready(http: &reqwest::Client, url: &str, pebble: &mut Process) -> Value {
    let deadline = Instant::now() + START;
    loop {
        if let Ok(answer) = http.get(url).send().await {
            return serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        }
        let status = pebble.child.try_wait().unwrap();
        assert!(
            status.is_none() && Instant::now() < deadline,
            "Pebble did not start ({status:?}): {}",
            std::fs::read_to_string(&pebble.log).unwrap()
        );
        sleep(Duration::from_millis(20)).await;
    }
}

fn program(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| name.into(), PathBuf::from)
}

fn missing(program: &std::path::Path, error: &std::io::Error) -> ! {
    panic!(
        "{} does not run ({error}): `tests/run` installs Pebble, or PEBBLE and CHALLTESTSRV name its programs",
        program.display()
    )
}

/// A child process; dropping the value kills it and waits for its end.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn spawn(dir: &TempDir, program: &std::path::Path, mut command: Command) -> Self {
        let name = program.file_name().unwrap().to_string_lossy().into_owned();
        let log = dir.path().join(name).with_extension("log");
        let output = std::fs::File::create(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| missing(program, &error));
        Self { child, log }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
