//! Health of backends: active checks and passive ejection decide which of them get requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::proxy::tasks::Tasks;
use ::proxy::upstream::{
    Address, Backend, BalanceMethod, BalanceOptions, HealthOptions, Options, SendProxy, Upstream,
    UpstreamContext,
};
use http::{Request, StatusCode};
use http_body_util::BodyExt;

use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::deadline::soon;
use crate::harness::proxy;
use crate::harness::service::{Service, ServiceSetup, empty};

/// A backend that answers `ok`, and its health check as the flag says.
async fn checked(is_healthy: &Arc<AtomicBool>) -> Origin {
    let is_healthy = Arc::clone(is_healthy);
    Origin::start(move |mut connection| {
        let is_healthy = Arc::clone(&is_healthy);
        async move {
            while let Some(head) = connection.read_request().await {
                let is_good =
                    !head.starts_with("GET /healthz ") || is_healthy.load(Ordering::SeqCst);
                let status = if is_good { "200 OK" } else { "503 Unwell" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                connection.raw.send(answer).await;
            }
        }
    })
    .await
}

fn often() -> HealthOptions {
    HealthOptions {
        interval: Duration::from_millis(10),
        ..HealthOptions::new("/healthz".to_owned())
    }
}

async fn open(balancing: BalanceOptions, backends: &[std::net::SocketAddr]) -> Service {
    let mut setup = ServiceSetup::new();
    setup.upstream = Options {
        balancing: Box::new(balancing),
        ..Options::default()
    };
    setup.site("www.example.org", backends).start().await
}

fn watched(health: HealthOptions) -> BalanceOptions {
    BalanceOptions {
        method: BalanceMethod::RoundRobin,
        health: Some(health),
        slow_start: Duration::ZERO,
        ..BalanceOptions::default()
    }
}

fn backend(service: &Service, index: usize) -> Backend {
    service.upstreams[0].backends()[index].clone()
}

async fn until(is_met: impl Fn() -> bool) {
    soon(async {
        while !is_met() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn get(service: &Service) -> StatusCode {
    let request = Request::get("/").header("host", "www.example.org");
    let response = service.fetch1(request.body(empty()).unwrap()).await;
    let status = response.status();
    soon(response.into_body().collect()).await.unwrap();
    status
}

#[tokio::test]
async fn a_backend_whose_check_fails_gets_no_requests_until_it_recovers() {
    let is_healthy = Arc::new(AtomicBool::new(false));
    let (sick, healthy) = (checked(&is_healthy).await, Origin::ok().await);
    let service = open(watched(often()), &[sick.address, healthy.address]).await;
    until(|| backend(&service, 0).is_down()).await;
    let mut sick = sick;
    while !sick.is_quiet() {}
    for _ in 0..10 {
        assert_eq!(get(&service).await, StatusCode::OK);
    }
    is_healthy.store(true, Ordering::SeqCst);
    until(|| !backend(&service, 0).is_down()).await;
    while !sick.is_quiet() {}
    for _ in 0..2 {
        assert_eq!(get(&service).await, StatusCode::OK);
    }
    soon(async { while !sick.event().await.starts_with("GET / ") {} }).await;
}

#[tokio::test]
async fn a_check_requests_its_path_and_host_on_a_connection_of_its_own() {
    let mut origin = Origin::ok().await;
    let health = HealthOptions {
        host: Some("app.internal".to_owned()),
        ..often()
    };
    let _service = open(watched(health), &[origin.address]).await;
    for _ in 0..3 {
        let head = origin.event().await;
        assert!(head.starts_with("GET /healthz HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("host: app.internal\r\n"), "{head}");
        assert!(head.contains("connection: close\r\n"), "{head}");
    }
    assert!(origin.connections() >= 3);
}

/// A backend that reports each connection's first line and each request after it.
async fn greeted() -> Origin {
    Origin::start(async |mut connection| {
        let Some(line) = connection.raw.read_until("\r\n").await else {
            return;
        };
        while let Some(head) = connection.read_request().await {
            connection.tell(format!("{line}{head}"));
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            connection.raw.send(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn with_the_proxy_protocol_a_check_is_local_and_a_request_names_its_client() {
    let mut origin = greeted().await;
    let mut setup = ServiceSetup::new();
    setup.upstream = Options {
        balancing: Box::new(watched(often())),
        send_proxy: Some(SendProxy::V1),
        ..Options::default()
    };
    let backends = [refusing_address().await, origin.address];
    let service = setup.site("www.example.org", &backends).start().await;
    let mut greetings = async |path: &str, greeting: &str| {
        let request = format!("\r\nGET {path} ");
        let mut event = String::new();
        soon(async {
            while !event.contains(&request) {
                event = origin.event().await;
            }
        })
        .await;
        assert!(event.starts_with(greeting), "{event}");
    };
    greetings("/healthz", "PROXY UNKNOWN\r\n").await;
    for _ in 0..3 {
        assert_eq!(get(&service).await, StatusCode::OK);
        greetings("/", "PROXY TCP4 127.0.0.1 ").await;
    }
    greetings("/healthz", "PROXY UNKNOWN\r\n").await;
}

#[tokio::test]
async fn without_a_working_backend_a_request_is_refused_at_once() {
    let service = open(
        watched(often()),
        &[refusing_address().await, refusing_address().await],
    )
    .await;
    until(|| backend(&service, 0).is_down() && backend(&service, 1).is_down()).await;
    assert_eq!(get(&service).await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_check_without_an_answer_fails() {
    let silent = Origin::start(async |mut connection| {
        connection.read_request().await;
        std::future::pending().await
    })
    .await;
    let health = HealthOptions {
        timeout: Duration::from_millis(20),
        ..often()
    };
    let service = open(watched(health), &[silent.address]).await;
    until(|| backend(&service, 0).is_down()).await;
}

#[tokio::test]
async fn a_check_whose_answer_breaks_off_fails() {
    let broken = Origin::start(async |mut connection| {
        connection.read_request().await;
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok";
        connection.raw.send(cut).await;
    })
    .await;
    let service = open(watched(often()), &[broken.address]).await;
    until(|| backend(&service, 0).is_down()).await;
}

/// A backend that closes at each request while the flag is set.
async fn closing(is_closing: &Arc<AtomicBool>) -> Origin {
    let is_closing = Arc::clone(is_closing);
    Origin::start(move |mut connection| {
        let is_closing = Arc::clone(&is_closing);
        async move {
            while connection.read_request().await.is_some() && !is_closing.load(Ordering::SeqCst) {
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                connection.raw.send(answer).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_backend_that_fails_repeatedly_is_ejected_and_tried_later() {
    let is_closing = Arc::new(AtomicBool::new(true));
    let (bad, good) = (closing(&is_closing).await, Origin::ok().await);
    let balancing = BalanceOptions {
        method: BalanceMethod::RoundRobin,
        eject_time: Duration::from_millis(500),
        slow_start: Duration::ZERO,
        ..BalanceOptions::default()
    };
    let service = open(balancing, &[bad.address, good.address]).await;
    for _ in 0..6 {
        assert_eq!(get(&service).await, StatusCode::OK);
    }
    assert!(backend(&service, 0).is_ejected());
    assert_eq!(bad.connections(), 3);
    is_closing.store(false, Ordering::SeqCst);
    until(|| !backend(&service, 0).is_ejected()).await;
    for _ in 0..6 {
        assert_eq!(get(&service).await, StatusCode::OK);
    }
    assert_eq!(bad.connections(), 4, "the backend is in use again");
}

#[tokio::test]
async fn error_statuses_eject_a_backend_only_if_configured() {
    for is_configured in [false, true] {
        let sick = Origin::answering("HTTP/1.1 503 Unwell\r\ncontent-length: 0\r\n\r\n").await;
        let healthy = Origin::ok().await;
        let balancing = BalanceOptions {
            method: BalanceMethod::RoundRobin,
            eject_status: is_configured.then(|| "502-504".parse().unwrap()),
            ..BalanceOptions::default()
        };
        let service = open(balancing, &[sick.address, healthy.address]).await;
        for _ in 0..6 {
            get(&service).await;
        }
        assert_eq!(backend(&service, 0).is_ejected(), is_configured);
    }
}

#[tokio::test]
async fn a_reload_keeps_state_and_check_of_remaining_backends_and_ends_those_of_removed_ones() {
    let is_healthy = Arc::new(AtomicBool::new(false));
    let (mut sick, gone) = (checked(&is_healthy).await, Origin::ok().await);
    let tasks = Tasks::new();
    let upstream = |old: &[Arc<Upstream>], backends: &[&Origin]| {
        let addresses = backends.iter().map(|origin| origin.address.to_string());
        let addresses = addresses.map(|address| Address::parse(&address).unwrap());
        let options = Options {
            balancing: Box::new(watched(often())),
            ..Options::default()
        };
        let context = UpstreamContext::new(tasks.clone());
        let upstream = Upstream::carrying_over(old, addresses.collect(), options, &context);
        Arc::new(upstream.unwrap())
    };
    let old = upstream(&[], &[&sick, &gone]);
    until(|| old.backends()[0].is_down()).await;
    assert_eq!(tasks.len(), 2);
    let new = upstream(&[Arc::clone(&old)], &[&sick]);
    assert!(new.backends()[0].is_down());
    assert_eq!(
        tasks.len(),
        2,
        "the running check continues and no other starts"
    );
    drop(old);
    until(|| tasks.len() == 1).await;
    is_healthy.store(true, Ordering::SeqCst);
    until(|| !new.backends()[0].is_down()).await;
    drop(new);
    until(|| tasks.is_empty()).await;
    while !sick.is_quiet() {}
}

#[tokio::test]
async fn checks_and_balancing_are_set_by_the_proxyfile() {
    let (gone, good) = (refusing_address().await, Origin::ok().await.address);
    let text = format!(
        "[sites.\"localhost\"]\n\
         upstream = [{{ address = \"{gone}\", weight = 5 }}, \"{good}\"]\n\
         balance = \"cookie\"\n\
         health = {{ path = \"/healthz\", interval = \"50ms\" }}\n"
    );
    let mut proxy = proxy::ProxySetup::new().proxyfile(&text).start().await;
    let line = proxy.logged("backend is down").await;
    assert!(line.contains(&gone.to_string()), "{line}");
    for _ in 0..5 {
        let answer = proxy.client().get(proxy.https(), "localhost", "/").await;
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn an_outage_makes_few_log_lines_whatever_the_number_of_requests() {
    let text = format!(
        "[sites.\"localhost\"]\nupstream = [\"{}\", \"{}\"]\n",
        refusing_address().await,
        refusing_address().await
    );
    let mut proxy = proxy::ProxySetup::new().proxyfile(&text).start().await;
    for _ in 0..50 {
        let answer = proxy.client().get(proxy.https(), "localhost", "/").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    }
    let line = proxy.logged("localhost: backend ").await;
    assert!(line.contains(" refuses connections "), "{line}");
    assert!(line.ends_with("requests=1 seconds=0"), "{line}");
    assert!(line.len() < 300, "{line}");
    let log = proxy.log();
    let warnings = log.lines().filter(|line| line.contains("WARN")).count();
    assert!(warnings < 8, "{log}");
}
