//! The dns-01 solver with name servers and providers, well behaved or not.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proxy::acme::{AccountKey, Identifier, KeyAuthorization, Presented, Solver, SolverError};
use proxy::certs::challenge::{
    Cloudflare, CloudflareOptions, Dns01Error, Dns01Solver, DnsMethod, DnsOptions, DnsProvider,
    Propagation, Rfc2136, Rfc2136Options, ServerAddress, TsigAlgorithm, TxtRecord,
};
use proxy::certs::{Resolver, ResolverOptions, Secret};
use proxy::dns_client::NameServer;
use proxy::tasks::Tasks;
use tokio::sync::watch;

use crate::harness::deadline::soon;
use crate::harness::dns::bind::{Bind, KEY, KEY_NAME};
use crate::harness::dns::cloudflare::{CloudflareApi, TOKEN};
use crate::harness::dns::server::DnsServer;

const CHALLENGE: &str = "_acme-challenge.home.example.org";

/// A provider that reports its calls to the test and sets records only at its server.
#[derive(Debug)]
struct Provider {
    calls: watch::Sender<Vec<(&'static str, TxtRecord)>>,
}

impl Provider {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            calls: watch::Sender::default(),
        })
    }

    fn call(&self, action: &'static str, record: &TxtRecord) {
        self.calls
            .send_modify(|calls| calls.push((action, record.clone())));
    }

    /// Waits until it is called for `action`.
    async fn called(&self, action: &str) -> TxtRecord {
        let mut calls = self.calls.subscribe();
        let find = |calls: &Vec<(&'static str, TxtRecord)>| {
            let call = calls.iter().find(|(called, _)| *called == action);
            call.map(|(_, record)| record.clone())
        };
        let calls = soon(calls.wait_for(|calls| find(calls).is_some()))
            .await
            .unwrap();
        find(&calls).unwrap()
    }
}

impl DnsProvider for Provider {
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        self.call("present", record);
        async { Ok(()) }.boxed()
    }

    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        self.call("cleanup", record);
        async { Ok(()) }.boxed()
    }
}

/// Two name servers of `example.org`; the first knows the addresses of both.
struct Servers {
    first: DnsServer,
    second: DnsServer,
}

impl Servers {
    fn start() -> Self {
        let first = DnsServer::start();
        let second = SocketAddr::from(([127, 0, 0, 2], first.address().port()));
        let second = DnsServer::start_on(second);
        first.ns("example.org", "ns1.example.org");
        first.ns("example.org", "ns2.example.org");
        first.a("ns1.example.org", [127, 0, 0, 1].into());
        first.a("ns2.example.org", [127, 0, 0, 2].into());
        Self { first, second }
    }

    fn solver(&self, provider: &Arc<Provider>, tasks: &Tasks) -> Dns01Solver {
        let resolver = Resolver::new(ResolverOptions {
            servers: vec![NameServer::At(self.first.address())],
            authority_port: self.first.address().port(),
        });
        let mut options = DnsOptions::new(DnsMethod::Exec(PathBuf::new()));
        options.propagation_timeout = Duration::from_secs(2);
        let propagation = Propagation::new(Arc::new(resolver), &options);
        let provider: Arc<dyn DnsProvider> = Arc::clone(provider) as _;
        Dns01Solver::new(provider, propagation, tasks.clone())
    }
}

async fn present(solver: &Dns01Solver) -> Result<Presented, SolverError> {
    let name = Identifier::Dns("home.example.org".to_owned());
    let key = KeyAuthorization::new("token", &AccountKey::generate().unwrap());
    solver.present(&name, "token", &key).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ca_validates_once_every_name_server_shows_the_record_which_is_removed_afterwards() {
    let (servers, provider, tasks) = (Servers::start(), Provider::new(), Tasks::new());
    let solver = servers.solver(&provider, &tasks);
    let mut presenting = Box::pin(present(&solver));
    let record = tokio::select! {
        record = provider.called("present") => record,
        _ = &mut presenting => panic!("no server shows the record"),
    };
    assert_eq!(record.name, CHALLENGE);
    servers.first.txt(CHALLENGE, &["of another"]);
    servers.first.txt(CHALLENGE, &[&record.value]);
    assert!(presenting.as_mut().now_or_never().is_none());
    servers.second.txt(CHALLENGE, &[&record.value]);

    let presented = soon(presenting).await.unwrap();

    assert_eq!(provider.calls.borrow().len(), 1, "the record stays");
    drop(presented);
    assert_eq!(provider.called("cleanup").await, record);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_one_name_server_never_shows_is_an_error_and_removed() {
    let (servers, provider, tasks) = (Servers::start(), Provider::new(), Tasks::new());
    let solver = servers.solver(&provider, &tasks);
    let (outcome, ()) = tokio::join!(present(&solver), async {
        let record = provider.called("present").await;
        servers.first.txt(CHALLENGE, &[&record.value]);
    });
    assert_eq!(
        outcome.unwrap_err().to_string(),
        "the name server ns2.example.org does not show the TXT record of _acme-challenge.home.example.org after 2s; \
         check that the record is set in the zone that this server serves, or allow more time with `propagation-timeout`"
    );
    provider.called("cleanup").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_of_an_alias_is_set_at_its_end() {
    let (servers, provider, tasks) = (Servers::start(), Provider::new(), Tasks::new());
    servers.first.cname(CHALLENGE, "home.acme.example.org");
    let solver = servers.solver(&provider, &tasks);
    let (outcome, ()) = tokio::join!(present(&solver), async {
        let record = provider.called("present").await;
        assert_eq!(record.name, "home.acme.example.org");
        for server in [&servers.first, &servers.second] {
            server.txt("home.acme.example.org", &[&record.value]);
        }
    });
    outcome.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_is_cancelled_or_outlived_by_the_process_leaves_no_record() {
    let (servers, provider, tasks) = (Servers::start(), Provider::new(), Tasks::new());
    let solver = servers.solver(&provider, &tasks);
    tokio::select! {
        _ = provider.called("present") => {}
        _ = present(&solver) => panic!("no server shows the record"),
    }
    provider.called("cleanup").await;

    let provider = Provider::new();
    let solver = servers.solver(&provider, &tasks);
    let (outcome, ()) = tokio::join!(present(&solver), async {
        let record = provider.called("present").await;
        servers.first.txt(CHALLENGE, &[&record.value]);
        servers.second.txt(CHALLENGE, &[&record.value]);
    });
    let _presented = outcome.unwrap();
    assert_eq!(tasks.drain(Duration::from_secs(10)).await, 0);
    assert!(provider.called("cleanup").now_or_never().is_some());
}

fn record(value: &str) -> TxtRecord {
    TxtRecord {
        name: CHALLENGE.to_owned(),
        value: value.to_owned(),
    }
}

fn updater(server: SocketAddr, change: impl FnOnce(&mut Rfc2136Options)) -> Rfc2136 {
    let mut options = Rfc2136Options {
        server: ServerAddress {
            host: server.ip().to_string(),
            port: server.port(),
        },
        key_name: KEY_NAME.to_owned(),
        key: Secret::new(KEY),
        algorithm: TsigAlgorithm::HmacSha512,
    };
    change(&mut options);
    Rfc2136::new(&options).unwrap()
}

#[tokio::test]
async fn an_update_adds_and_removes_its_own_value_and_no_other() {
    let bind = Bind::start().await;
    let updater = updater(bind.address(), |_| ());
    updater.present(&record("one")).await.unwrap();
    updater.present(&record("two")).await.unwrap();
    updater.present(&record("two")).await.unwrap();
    assert_eq!(bind.texts(CHALLENGE).await, ["of another", "one", "two"]);

    updater.cleanup(&record("one")).await.unwrap();
    updater.cleanup(&record("one")).await.unwrap();
    assert_eq!(bind.texts(CHALLENGE).await, ["of another", "two"]);
    assert!(!format!("{updater:?}").contains(&KEY[..8]));
}

#[tokio::test]
async fn a_refused_update_names_what_to_check() {
    let bind = Bind::start().await;
    let at = format!("the DNS server {}", bind.address());
    let sentence = |updater: Rfc2136, record: TxtRecord| {
        let at = at.clone();
        async move {
            let error = updater.present(&record).await.unwrap_err().to_string();
            error.strip_prefix(&at).map(str::to_owned).unwrap_or(error)
        }
    };
    let wrong = updater(bind.address(), |options| {
        options.key = Secret::new("d3Jvbmc=")
    });
    assert_eq!(
        sentence(wrong, record("x")).await,
        " has another secret for the key `proxy-key` (BADSIG); check `key`"
    );
    let unknown = updater(bind.address(), |options| {
        options.key_name = "other".to_owned()
    });
    assert_eq!(
        sentence(unknown, record("x")).await,
        " does not know the key `other` for this algorithm (BADKEY); check `key-name` and `algorithm`"
    );
    let name = |name: &str| TxtRecord {
        name: name.to_owned(),
        value: "x".to_owned(),
    };
    assert_eq!(
        sentence(updater(bind.address(), |_| ()), name("www.example.org")).await,
        " does not let the key change www.example.org (Query Refused); allow it in the zone's update policy"
    );
    assert_eq!(
        sentence(updater(bind.address(), |_| ()), name("www.example.net")).await,
        " serves no zone for www.example.net; check `server`"
    );
    let gone = updater(([127, 0, 0, 1], 1).into(), |_| ());
    assert!(
        sentence(gone, record("x"))
            .await
            .contains("cannot be reached: ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_at_cloudflare_is_created_and_deleted_by_its_id() {
    let dns = Arc::new(DnsServer::start());
    let api = CloudflareApi::start(dns, "example.org", CHALLENGE).await;
    let options = |token: &str| CloudflareOptions {
        token: Secret::new(token),
        url: api.url().parse().unwrap(),
    };
    let cloudflare = Cloudflare::new(&options(TOKEN)).unwrap();

    cloudflare.present(&record("one")).await.unwrap();
    assert_eq!(api.values(), ["of another", "one"]);
    cloudflare.cleanup(&record("one")).await.unwrap();

    assert_eq!(api.values(), ["of another"]);
    let calls = api.calls();
    assert_eq!(
        calls[..4],
        [
            "GET /zones?name=_acme-challenge.home.example.org",
            "GET /zones?name=home.example.org",
            "GET /zones?name=example.org",
            "POST /zones/zone-1/dns_records?",
        ]
    );
    assert_eq!(
        calls.last().unwrap(),
        "DELETE /zones/zone-1/dns_records/record-2?"
    );
    let error = Cloudflare::new(&options("wrong"))
        .unwrap()
        .present(&record("x"))
        .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "Cloudflare refuses the token: Invalid access token (9109); \
         set `token` to one with the permissions Zone:Read and DNS:Edit"
    );
    let other = TxtRecord {
        name: "_acme-challenge.example.net".to_owned(),
        value: "x".to_owned(),
    };
    let error = cloudflare.present(&other).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Cloudflare has no zone for _acme-challenge.example.net, or the token may not see it"
    );
    assert!(!format!("{cloudflare:?}").contains(TOKEN));
}
