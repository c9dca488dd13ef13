//! The dns-01 solver with name servers and providers, well behaved or not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proxy::acme::{AccountKey, Identifier, KeyAuthorization, Presented, Solver, SolverError};
use proxy::certs::challenge::{
    Dns01Error, Dns01Solver, DnsProvider, Propagation, PropagationOptions, TxtRecord,
};
use proxy::certs::{Resolver, ResolverOptions};
use proxy::dns_client::NameServer;
use proxy::tasks::Tasks;
use tokio::sync::watch;

use super::dns_providers::{CHALLENGE, updater};
use crate::harness::deadline::soon;
use crate::harness::dns::bind::Bind;
use crate::harness::dns::server::DnsServer;

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
        self.solver_with(provider, tasks, |options| options.is_strict = true)
    }

    /// A solver with other settings. It waits at most two seconds.
    fn solver_with(
        &self,
        provider: &Arc<Provider>,
        tasks: &Tasks,
        change: impl FnOnce(&mut PropagationOptions),
    ) -> Dns01Solver {
        self.solver_of(Arc::clone(provider) as _, tasks, change)
    }

    fn solver_of(
        &self,
        provider: Arc<dyn DnsProvider>,
        tasks: &Tasks,
        change: impl FnOnce(&mut PropagationOptions),
    ) -> Dns01Solver {
        let resolver = Resolver::new(ResolverOptions {
            servers: vec![NameServer::At(self.first.address())],
            authority_port: self.first.address().port(),
        });
        let mut options = PropagationOptions {
            timeout: Duration::from_secs(2),
            ..PropagationOptions::default()
        };
        change(&mut options);
        let propagation = Propagation::new(Arc::new(resolver), &options);
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
        "the name server ns2.example.org does not show the TXT record after 2s; \
         correct the zone that it serves, or raise `propagation-timeout`"
    );
    provider.called("cleanup").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_not_seen_is_shown_to_the_ca_all_the_same() {
    let (servers, provider, tasks) = (Servers::start(), Provider::new(), Tasks::new());
    let solver = servers.solver_with(&provider, &tasks, |_| ());

    let presented = soon(present(&solver)).await;

    presented.unwrap();
    provider.called("cleanup").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_replaces_the_check() {
    let (servers, provider, tasks) = (Servers::start(), Provider::new(), Tasks::new());
    let delay = Duration::from_millis(100);
    let solver = servers.solver_with(&provider, &tasks, |options| {
        options.is_strict = true;
        options.delay = Some(delay);
    });
    let start = tokio::time::Instant::now();

    present(&solver).await.unwrap();

    assert!(start.elapsed() >= delay);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_delay_the_record_is_set_although_no_name_can_be_looked_up() {
    let (provider, tasks) = (Provider::new(), Tasks::new());
    let resolver = Resolver::new(ResolverOptions {
        servers: Vec::new(),
        authority_port: 53,
    });
    let resolver = Arc::new(resolver);
    let name = Identifier::Dns("home.example.org".to_owned());
    for (delay, is_set) in [(Some(Duration::from_millis(1)), true), (None, false)] {
        let options = PropagationOptions {
            delay,
            ..PropagationOptions::default()
        };
        let propagation = Propagation::new(Arc::clone(&resolver), &options);
        let solver = Dns01Solver::new(Arc::clone(&provider) as _, propagation, tasks.clone());
        assert_eq!(solver.prepare(&name).await.is_ok(), is_set);
        assert_eq!(present(&solver).await.is_ok(), is_set);
    }
    assert_eq!(provider.called("present").await.name, CHALLENGE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resolver_is_asked_if_the_zone_has_no_name_server_that_can_be_asked() {
    for has_zone in [false, true] {
        let resolver = DnsServer::start();
        if has_zone {
            // The name server has no address.
            resolver.ns("example.org", "ns1.example.org");
        }
        let second = DnsServer::start();
        let servers = Servers {
            first: resolver,
            second,
        };
        let (provider, tasks) = (Provider::new(), Tasks::new());
        let solver = servers.solver_with(&provider, &tasks, |options| {
            options.is_strict = true;
            options.timeout = Duration::from_secs(20);
        });
        let (outcome, ()) = tokio::join!(soon(present(&solver)), async {
            let record = provider.called("present").await;
            servers.first.txt(CHALLENGE, &[&record.value]);
        });
        outcome.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_is_checked_before_an_order_and_for_the_end_of_an_alias() {
    let (servers, tasks) = (Servers::start(), Tasks::new());
    servers
        .first
        .cname("_acme-challenge.example.org", "acme.example.net");
    let bind = Bind::start().await;
    let provider: Arc<dyn DnsProvider> = Arc::new(updater(bind.address(), |_| ()));
    let solver = servers.solver_of(provider, &tasks, |_| ());
    let prepare = |name: &str| {
        let (solver, name) = (solver.clone(), Identifier::Dns(name.to_owned()));
        async move {
            solver
                .prepare(&name)
                .await
                .map_err(|error| error.to_string())
        }
    };

    assert_eq!(prepare("home.example.org").await, Ok(()));
    let error = prepare("*.example.org").await.unwrap_err();
    assert!(
        error.ends_with("serves no zone for acme.example.net; check `server`"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configured_name_servers_are_asked_before_an_order_if_they_have_to_answer() {
    let (servers, provider, tasks) = (Servers::start(), Provider::new(), Tasks::new());
    let name = Identifier::Dns("home.example.org".to_owned());
    let (good, dead) = (
        servers.first.address(),
        SocketAddr::from(([127, 0, 0, 1], 1)),
    );
    for (name_servers, is_strict, is_ready) in [
        (vec![dead], true, false),
        (vec![dead], false, true),
        (vec![dead, good], true, true),
        (Vec::new(), true, true),
    ] {
        let solver = servers.solver_with(&provider, &tasks, |options| {
            options.is_strict = is_strict;
            options.name_servers = name_servers.clone();
        });
        let outcome = soon(solver.prepare(&name)).await;
        assert_eq!(outcome.is_ok(), is_ready, "{name_servers:?} {is_strict}");
        if let Err(error) = outcome {
            let silent = format!("no name server of {CHALLENGE} answers: {dead} fails with: ");
            assert!(error.to_string().starts_with(&silent), "{error}");
        }
    }
    assert!(provider.calls.borrow().is_empty());
}

/// A provider that keeps one value of a name, as many hooks do.
#[derive(Debug)]
struct OneValue(Arc<DnsServer>);

impl DnsProvider for OneValue {
    fn may_replace_values(&self) -> bool {
        true
    }

    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        self.0
            .forget(&record.name)
            .txt(&record.name, &[&record.value]);
        async { Ok(()) }.boxed()
    }

    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        self.0.forget(&record.name);
        async { Ok(()) }.boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_keeps_one_value_serves_a_wildcard_and_its_base_name_in_turn() {
    let (servers, tasks) = (Servers::start(), Tasks::new());
    let zone = Arc::new(DnsServer::start());
    // The configured name server is a resolver.
    zone.wanting_recursion();
    let zone_address = zone.address();
    let solver = servers.solver_of(Arc::new(OneValue(zone)), &tasks, |options| {
        options.is_strict = true;
        options.name_servers = vec![zone_address];
    });
    let first = soon(present(&solver)).await.unwrap();
    let mut second = Box::pin(present(&solver));
    assert!(
        tokio::time::timeout(Duration::from_millis(200), &mut second)
            .await
            .is_err()
    );

    drop(first);

    soon(second).await.unwrap();
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
