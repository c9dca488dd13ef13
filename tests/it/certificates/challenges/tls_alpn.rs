//! tls-alpn-01 with a CA that validates, and the fallback from one type of challenge to the next.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use proxy::acme::{Account, AccountKey, Client as AcmeClient, Identifier, Options, Order};
use proxy::certs::challenge::{TlsAlpn01Certificates, TlsAlpn01Solver};
use proxy::certs::issuer::{InternalCa, InternalCaOptions, Issuer};
use proxy::certs::{CertCache, CertificateStore, Clock, Issuers, ManagerParts, Ruleset};
use proxy::listener_names::ListenerId;
use proxy::name::{HostName, NameMap};
use proxy::storage::{FileStorage, Storage};
use proxy::tasks::Tasks;
use proxy::tls::{Acceptor, AcceptorParts, AcceptorRules};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::harness::admin::certs;
use crate::harness::backends::web_app::App;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::ca::pki::{csr, verify_chain};
use crate::harness::ca::scripted::{Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::ports::ProxyPorts;
use crate::harness::proxy::ProxySetup;

const NAME: &str = "www.example.org";

/// A port without a listener.
const DEAD: u16 = 1;

/// A TLS listener that serves no name but answers the challenges of a table.
struct Service {
    port: u16,
    challenges: Arc<TlsAlpn01Certificates>,
    tasks: Tasks,
    _dir: TempDir,
}

impl Service {
    async fn open() -> Self {
        let dir = TempDir::new().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
        let issuer: Arc<dyn Issuer> = Arc::new(InternalCa::new(
            Arc::clone(&storage),
            InternalCaOptions::default(),
        ));
        let (cache, tasks) = (Arc::new(CertCache::new(1)), Tasks::new());
        let challenges = Arc::new(TlsAlpn01Certificates::new());
        let manager = proxy::certs::start(ManagerParts {
            ruleset: Ruleset {
                policies: NameMap::new(),
                issuers: Issuers {
                    public: vec![Arc::clone(&issuer)],
                    internal: issuer,
                },
                preflight: None,
                on_cert: None,
            },
            records: CertificateStore::new(storage),
            cache: Arc::clone(&cache),
            clock: Clock::system(),
            tasks: tasks.clone(),
        });
        let acceptor = Acceptor::new(AcceptorParts {
            cache,
            manager,
            challenges: Arc::clone(&challenges),
            rules: AcceptorRules {
                default_names: Vec::new(),
                handshake_timeout: Duration::from_secs(10),
                sites: NameMap::new(),
            },
        });
        let acceptor = acceptor.unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let local = listener.local_addr().unwrap();
        tasks.spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let (listener, buffers) = (ListenerId::default(), Arc::default());
                let _ = acceptor
                    .accept(stream, peer, local, listener, &buffers)
                    .await;
            }
        });
        Self {
            port: local.port(),
            challenges,
            tasks,
            _dir: dir,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_and_an_address_are_proved_in_a_handshake() {
    let service = Service::open().await;
    let options = PebbleOptions {
        tls_port: service.port,
        ..PebbleOptions::new(DEAD)
    };
    let pebble = Pebble::start(options).await;
    let mut options = Options::new(pebble.directory_url());
    options.root_pem = Some(pebble.root_pem().into_bytes());
    let client = Arc::new(AcmeClient::new(options).unwrap());
    let key = AccountKey::generate().unwrap();
    let account = Account::register(client, key, &[]).await.unwrap();
    let solver = TlsAlpn01Solver::new(Arc::clone(&service.challenges));
    let names = [NAME, "127.0.0.1"];
    let identifiers = names.map(|name| Identifier::from(&HostName::parse(name).unwrap()));

    let mut order = Order::create(&account, &identifiers).await.unwrap();
    order.prove(&account, &solver).await.unwrap();

    order.finalize(&account, &csr(&names).0).await.unwrap();
    let chain = order.certificate(&account).await.unwrap();
    let root = pebble.issuance_root().await;
    for name in names {
        verify_chain(&chain, &root, name).unwrap();
    }
    assert!(service.challenges.is_empty(), "challenges left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_with_port_80_closed_is_proved_on_port_443() {
    let app = App::start().await;
    let ports = ProxyPorts::reserve();
    let options = PebbleOptions {
        tls_port: ports.https().port(),
        ..PebbleOptions::new(DEAD)
    };
    let pebble = Pebble::start(options).await;
    let mut proxy = ProxySetup::on(ports)
        .args(["--upstream", &app.address.to_string(), "--domain", NAME])
        .ca(&pebble.directory_url(), &pebble.root_pem())
        .start()
        .await;

    let line = proxy.logged("trying the next challenge type").await;
    proxy.logged("certificate obtained").await;

    assert!(line.contains("open port 80 to the internet"), "{line}");
    let client = Client::new(&pebble.issuance_root().await);
    assert_eq!(client.get(proxy.https(), NAME, "/").await.body, "hello");
    assert!(!proxy.log().contains("not obtained"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_no_challenge_type_proves_fails_with_every_cause_on_a_line_of_its_own() {
    let options = PebbleOptions {
        tls_port: DEAD,
        ..PebbleOptions::new(DEAD)
    };
    let pebble = Pebble::start(options).await;
    let mut proxy = ProxySetup::new()
        .args(["--upstream", "localhost:1", "--domain", NAME])
        .ca(&pebble.directory_url(), &pebble.root_pem())
        .start()
        .await;

    let lines = [
        proxy.logged("trying the next challenge type").await,
        proxy.logged("certificate not obtained").await,
    ];

    let causes = [
        "the CA could not reach http://www.example.org/.well-known/acme-challenge/ on port 80: ",
        "by tls-alpn-01, the CA ",
    ];
    for (line, cause) in lines.iter().zip(causes) {
        assert!(line.len() < 300 && line.contains(cause), "{cause}: {line}");
        assert!(line.contains(" DNS at this machine"), "{line}");
    }
    let shown = certs(&proxy.data(), &["show", NAME]).await.out;
    for cause in causes {
        assert!(shown.contains(cause), "{cause}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_type_that_the_ca_does_not_offer_causes_no_order() {
    let ca = ScriptedCa::start(Script::new(), DEAD).await;
    let mut proxy = ProxySetup::new()
        .args(["--upstream", "localhost:1", "--domain", NAME])
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await;

    let line = proxy.logged("certificate not obtained").await;

    assert!(line.contains("on port 80"), "{line}");
    assert!(!line.contains("tls-alpn-01"), "{line}");
    assert_eq!(ca.count(Step::NewOrder), 1);
}
