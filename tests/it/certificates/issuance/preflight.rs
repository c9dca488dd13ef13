//! Preflight: the checks of a name before its order, with a DNS server of the test and a CA that counts orders.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_proto::op::ResponseCode;
use proxy::app::{App, Inherited};
use proxy::certs::Standing;
use proxy::certs::preflight::Trial;
use proxy::config::{Config, Flags};
use proxy::dns_client::NameServer;
use proxy::name::{HostName, HostPattern};
use tokio::net::TcpListener;

use crate::harness::backends::origin::Origin;
use crate::harness::ca::scripted::{Script, ScriptedCa, Step};
use crate::harness::deadline::soon;
use crate::harness::dns::server::DnsServer;
use crate::harness::proxy::ProxySetup;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const NAME: &str = "www.example.org";
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const THERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STRANGER: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

/// A name with its DNS, a CA, and a port 80 of this machine and of others.
struct World {
    dns: DnsServer,
    ca: ScriptedCa,
    http: SocketAddr,
    dir: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        Self::with(Script::new().caa_identities(&["ca.example"])).await
    }

    async fn with(script: Script) -> Self {
        let http = free_port(HERE).await;
        Self::between(http, ScriptedCa::start(script, http.port()).await)
    }

    /// Makes the CA connect to a port without a listener.
    async fn unreachable() -> Self {
        let http = free_port(HERE).await;
        Self::between(http, ScriptedCa::start(Script::new(), 1).await)
    }

    fn between(http: SocketAddr, ca: ScriptedCa) -> Self {
        Self {
            dns: DnsServer::start(),
            ca,
            http,
            dir: tempfile::TempDir::new().unwrap(),
        }
    }

    /// Another machine answers port 80 of `address`.
    async fn stranger(&self, address: IpAddr, answer: &'static str) -> Origin {
        Origin::answering_on((address, self.http.port()).into(), answer).await
    }

    fn config(&self) -> Config {
        let root = self.dir.path().join("ca.pem");
        std::fs::write(&root, self.ca.root_pem()).unwrap();
        let flags = Flags {
            upstream: vec!["localhost:1".to_owned()],
            domain: vec![NAME.to_owned()],
            acme_directory: Some(self.ca.directory_url().to_string()),
            acme_root: Some(root),
            listen_http: vec![self.http.to_string()],
            listen_https: vec!["127.0.0.1:0".to_owned()],
            storage: Some(format!("file:{}", self.dir.path().join("data").display())),
            ..Flags::default()
        };
        let mut config = Config::from_quick(&flags).unwrap();
        config.resolver.servers = vec![NameServer::At(self.dns.address())];
        config.preflight.port = self.http.port();
        config.preflight.trial = Some(Trial {
            own: vec![HERE.into()],
        });
        config
    }

    /// Standing of the name after the first attempt to get its certificate.
    async fn standing(&self) -> Standing {
        let app = App::start(&self.config(), Inherited::default())
            .await
            .unwrap();
        let name = HostName::parse(NAME).unwrap();
        let _ = soon(app.manager().certificate(&name, CLIENT)).await;
        let standing = app.manager().standing(&name).await;
        app.stop(None).await;
        standing
    }

    /// Waits until the first attempt fails; returns the reason.
    async fn reason(&self) -> String {
        match self.standing().await {
            Standing::BackingOff {
                failures: 1,
                reason,
                ..
            } => reason,
            standing => panic!("{standing}"),
        }
    }

    async fn assert_hopeless(&self, reason: &str) {
        assert_eq!(
            self.reason().await,
            format!("{reason}; the CA was not asked")
        );
        assert_eq!(self.requests(), 0, "{reason}");
    }

    async fn assert_served(&self) {
        let standing = self.standing().await;
        assert!(matches!(standing, Standing::Served { .. }), "{standing}");
    }

    fn requests(&self) -> usize {
        Step::ALL.iter().map(|step| self.ca.count(*step)).sum()
    }
}

async fn free_port(ip: Ipv4Addr) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_points_here_gets_its_certificate() {
    let world = World::new().await;
    world.dns.a(NAME, HERE).caa(NAME, Some("ca.example"));
    world.assert_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_of_the_local_dns_alone_do_not_stop_an_order() {
    // The CA of these tests reaches the name, whatever the DNS says.
    let world = World::new().await;
    world.dns.a("other.example.org", HERE);
    world.assert_served().await;

    let world = World::new().await;
    world.dns.txt(NAME, &["no address"]);
    world.assert_served().await;

    let world = World::new().await;
    world.dns.a(NAME, Ipv4Addr::new(192, 168, 1, 5));
    world.assert_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubt_that_the_ca_confirms_is_reported_and_backed_off_like_any_failure() {
    let world = World::unreachable().await;
    world.dns.a(NAME, Ipv4Addr::new(192, 168, 1, 5));
    let app = App::start(&world.config(), Inherited::default())
        .await
        .unwrap();
    let name = HostName::parse(NAME).unwrap();
    let first = soon(app.manager().certificate(&name, CLIENT)).await;
    let orders = world.ca.count(Step::NewOrder);

    let again = soon(app.manager().certificate(&name, CLIENT)).await;

    let sentence = app.manager().standing(&name).await.to_string();
    for part in [
        "no certificate after 1 failed attempt at ",
        " with http-01",
        "the CA could not reach http://www.example.org/",
        "; seen from here: A points to 192.168.1.5, which is a private address",
    ] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
    assert!(first.is_err() && again.is_err());
    assert!((1..=3).contains(&orders), "{orders}");
    assert_eq!(
        world.ca.count(Step::NewOrder),
        orders,
        "not before its time"
    );
    app.stop(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_with_a_documentation_address_is_not_ordered() {
    let world = World::new().await;
    world.dns.a(NAME, Ipv4Addr::new(192, 0, 2, 5));
    world
        .assert_hopeless(
            "A points to 192.0.2.5, which is a documentation address that no public CA can reach; \
             point it to this machine's public address",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_finding_stops_a_renewal() {
    let world = World::new().await;
    world.dns.a(NAME, HERE);
    let app = App::start(&world.config(), Inherited::default())
        .await
        .unwrap();
    let name = HostName::parse(NAME).unwrap();
    let served = soon(app.manager().certificate(&name, CLIENT))
        .await
        .unwrap();
    // Each of these would stop a first order.
    world.dns.aaaa(NAME, "::1").caa("example.org", None);
    let _stranger = world.stranger("::1".parse().unwrap(), STRANGER).await;

    let renewed = soon(app.manager().renew_now(&HostPattern::Exact(name))).await;

    assert_ne!(renewed.unwrap().serial(), served.serial());
    assert_eq!(world.ca.count(Step::NewOrder), 2);
    app.stop(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_aaaa_record_is_named() {
    let world = World::new().await;
    world.dns.a(NAME, HERE).aaaa(NAME, "::1");
    let _stranger = world.stranger("::1".parse().unwrap(), STRANGER).await;
    world
        .assert_hopeless(
            "AAAA points to ::1, which is not this machine: it answers port 80 with status 404; \
             point it here, or remove it",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_a_record_of_another_machine_is_named_even_if_that_echoes_the_token() {
    let world = World::new().await;
    world.dns.a(NAME, THERE);
    let echo = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi\n";
    let _stranger = world.stranger(THERE.into(), echo).await;
    world
        .assert_hopeless(
            "A points to 127.0.0.2, which is not this machine: it answers port 80 with status 200; \
             point it here, or remove it",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caa_records_that_allow_nobody_stop_the_order() {
    let world = World::new().await;
    world.dns.a(NAME, HERE).caa("example.org", None);
    world
        .assert_hopeless(
            "CAA forbids this issuer: the records of example.org allow nobody; \
             add an `issue` record that names the CA",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caa_records_for_another_ca_are_reported_with_the_record_to_add() {
    let world = World::new().await;
    world
        .dns
        .a(NAME, HERE)
        .caa("example.org", Some("other.example"));
    assert_eq!(
        world.reason().await,
        "CAA forbids this issuer: the records of example.org allow other.example; \
         add `issue \"ca.example\"` to them; the CA was not asked"
    );
    assert_eq!(world.ca.count(Step::Directory), 1);
    assert_eq!(
        world.requests(),
        1,
        "more than what the CA calls itself was asked"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubtful_name_is_ordered_all_the_same() {
    // No connection to an address of the name, as behind a router without hairpin NAT.
    let world = World::new().await;
    world.dns.a(NAME, THERE);
    world.assert_served().await;

    // One of two addresses belongs to another machine, which the CA may not choose.
    let world = World::new().await;
    world.dns.a(NAME, THERE).a(NAME, HERE);
    let _stranger = world.stranger(THERE.into(), STRANGER).await;
    world.assert_served().await;

    // A redirect may lead to this machine.
    let world = World::new().await;
    world.dns.a(NAME, THERE);
    let redirect =
        "HTTP/1.1 301 Moved\r\nlocation: http://www.example.org/\r\ncontent-length: 0\r\n\r\n";
    let _stranger = world.stranger(THERE.into(), redirect).await;
    world.assert_served().await;

    // A DNS server that does not answer proves nothing.
    let world = World::new().await;
    world.dns.code(NAME, ResponseCode::ServFail);
    world.assert_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_with_a_private_ca_are_only_warnings() {
    let world = World::new().await;
    world.dns.txt(NAME, &["no address"]);
    let mut config = world.config();
    config.preflight.trial = None;
    let app = App::start(&config, Inherited::default()).await.unwrap();
    let name = HostName::parse(NAME).unwrap();
    soon(app.manager().certificate(&name, CLIENT))
        .await
        .unwrap();
    app.stop(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_preflight_asks_nobody() {
    let world = World::new().await;
    let mut config = world.config();
    config.preflight.is_on = false;
    let app = App::start(&config, Inherited::default()).await.unwrap();
    let name = HostName::parse(NAME).unwrap();
    soon(app.manager().certificate(&name, CLIENT))
        .await
        .unwrap();
    app.stop(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubt_is_logged() {
    let setup = ProxySetup::new();
    let dns = DnsServer::start();
    dns.txt(NAME, &["no address"]);
    let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
    let resolvers = format!(
        "resolvers = [\"{}\"]\n[sites]\n\"{NAME}\" = \"localhost:1\"",
        dns.address()
    );
    let mut proxy = setup
        .preflight()
        .proxyfile(&resolvers)
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await;

    let line = proxy.logged("an order may fail").await;

    assert!(
        line.contains("www.example.org has neither an A nor an AAAA record"),
        "{line}"
    );
    proxy.logged("certificate obtained").await;
}
