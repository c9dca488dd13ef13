//! A name with its DNS, its CA, its backend and the ports of this machine, and the report of the checks about them.

use std::net::{Ipv4Addr, SocketAddr};

use proxy::admin::{CheckReport, CheckResult, CheckStatus};
use proxy::app::{self, App, Inherited};
use proxy::certs::preflight::Trial;
use proxy::config::{Config, Flags};
use proxy::dns_client::NameServer;
use proxy::name::HostName;
use tokio::sync::oneshot;

use crate::harness::backends::web_app;
use crate::harness::ca::scripted::{Script, ScriptedCa};
use crate::harness::deadline::soon;
use crate::harness::dns::server::DnsServer;
use crate::harness::ports::ProxyPorts;

pub(super) const NAME: &str = "www.example.org";
pub(super) const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
pub(super) const THERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Everything that the checks look at. All is well until the test changes something.
pub(super) struct Scene {
    pub(super) dns: DnsServer,
    pub(super) config: Config,
    ports: Option<ProxyPorts>,
    _ca: ScriptedCa,
    _app: web_app::App,
    _dir: tempfile::TempDir,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::with(Script::new().caa_identities(&["ca.example"])).await
    }

    pub(super) async fn with(script: Script) -> Self {
        let ports = ProxyPorts::reserve();
        let ca = ScriptedCa::start(script, ports.http().port()).await;
        let dir = tempfile::TempDir::new().unwrap();
        let app = web_app::App::start().await;
        let root = dir.path().join("ca.pem");
        std::fs::write(&root, ca.root_pem()).unwrap();
        let flags = Flags {
            upstream: vec![app.address.to_string()],
            domain: vec![NAME.to_owned()],
            acme_directory: Some(ca.directory_url().to_string()),
            acme_root: Some(root),
            listen_http: vec![ports.http().to_string()],
            listen_https: vec![ports.https().to_string()],
            storage: Some(format!("file:{}", dir.path().join("data").display())),
            ..Flags::default()
        };
        let dns = DnsServer::start();
        dns.a(NAME, HERE);
        let mut config = Config::from_quick(&flags).unwrap();
        config.resolver.servers = vec![NameServer::At(dns.address())];
        config.preflight.port = ports.http().port();
        config.preflight.tls_port = ports.https().port();
        config.preflight.trial = Some(Trial {
            own: vec![HERE.into()],
        });
        Self {
            dns,
            config,
            ports: Some(ports),
            _ca: ca,
            _app: app,
            _dir: dir,
        }
    }

    /// Says that the addresses are those of this machine.
    pub(super) fn own(&mut self, addresses: &[Ipv4Addr]) {
        let own = addresses.iter().map(|ip| (*ip).into()).collect();
        self.config.preflight.trial = Some(Trial { own });
    }

    /// Gives the name other backends: the value of its site in a Proxyfile.
    pub(super) fn forward_to(&mut self, site: &str) {
        self.serve(&format!("\"{NAME}\" = {site}\n"));
    }

    /// Replaces the sites by these lines of a Proxyfile.
    pub(super) fn serve(&mut self, sites: &str) {
        let text = format!("storage = \"{}\"\n[sites]\n{sites}", self.config.storage);
        let path = std::path::Path::new("Proxyfile");
        let other = Config::from_proxyfile(path, &text, &Flags::default());
        self.config.sites = other.unwrap().sites;
    }

    pub(super) fn http(&self) -> SocketAddr {
        self.config.listen.http[0].address
    }

    /// Gives the ports up, so that others can bind them.
    pub(super) fn release(&mut self) {
        self.ports = None;
    }

    /// Starts the proxy, and waits for the certificate of the name.
    pub(super) async fn start(&mut self) -> App {
        self.release();
        let app = App::start(&self.config, Inherited::default())
            .await
            .unwrap();
        let name = HostName::parse(NAME).unwrap();
        let _ = soon(app.manager().certificate(&name, HERE.into())).await;
        app
    }

    /// Returns what a command finds while no proxy runs.
    pub(super) async fn alone(&mut self) -> CheckReport {
        self.release();
        Box::pin(app::check_standalone(&self.config, &[]))
            .await
            .unwrap()
    }
}

/// Returns what a running proxy finds.
pub(super) async fn check(app: &App, names: &[&str]) -> CheckReport {
    let (asker, report) = oneshot::channel();
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    app.check(names, None, asker);
    tokio::time::timeout(std::time::Duration::from_secs(25), report)
        .await
        .expect("the checks are bounded in time")
        .unwrap()
}

/// Asserts that a check has this status, and a sentence with `part`.
#[track_caller]
pub(super) fn assert_check(report: &CheckReport, check: &str, status: CheckStatus, part: &str) {
    let found: Vec<_> = report
        .checks
        .iter()
        .filter(|it| it.check == check)
        .collect();
    let is_it = |it: &&CheckResult| it.status == status && it.sentence.contains(part);
    assert!(
        found.iter().any(is_it),
        "{check}: {part}: {:#?}",
        report.checks
    );
}
