//! Load balancing between the backends of an upstream, retries and queues, as clients see them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::proxy::upstream::{BalanceMethod, BalanceOptions, CookieKey, Options, Share};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::deadline::soon;
use crate::harness::proxy;
use crate::harness::service::{Service, ServiceSetup};

/// A client on one connection.
struct Client(http1::SendRequest<Empty<Bytes>>);

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Client {
    async fn new(service: &Service) -> Self {
        let stream = TcpStream::connect(service.h1).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        service.tasks.spawn(connection);
        Self(sender)
    }

    async fn ask(&mut self, method: Method, cookie: Option<&str>) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri("/")
            .header("host", "www.example.org");
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let request = request.body(Empty::new()).unwrap();
        soon(self.0.ready()).await.unwrap();
        read(soon(self.0.send_request(request)).await.unwrap()).await
    }

    async fn get(&mut self) -> Answer {
        self.ask(Method::GET, None).await
    }
}

async fn read(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = soon(body.collect()).await.unwrap().to_bytes();
    Answer {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// A backend that answers with its name.
async fn named(name: &str) -> Origin {
    let len = name.len();
    Origin::answering(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{name}"
    ))
    .await
}

/// A backend that accepts each request and then closes, once the flag is set.
async fn dying(name: &'static str, is_dead: &Arc<AtomicBool>) -> Origin {
    let is_dead = Arc::clone(is_dead);
    Origin::start(move |mut connection| {
        let is_dead = Arc::clone(&is_dead);
        async move {
            while connection.read_request().await.is_some() && !is_dead.load(Ordering::SeqCst) {
                let len = name.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{name}");
                connection.raw.send(answer).await;
            }
        }
    })
    .await
}

async fn open(balancing: BalanceOptions, backends: &[SocketAddr]) -> Service {
    let mut setup = ServiceSetup::new();
    setup.upstream = Options {
        balancing: Box::new(balancing),
        ..Options::default()
    };
    setup.site("www.example.org", backends).start().await
}

fn by(method: BalanceMethod) -> BalanceOptions {
    BalanceOptions {
        method,
        ..BalanceOptions::default()
    }
}

#[tokio::test]
async fn ten_thousand_requests_spread_within_five_percent() {
    let (one, other) = (named("one").await, named("other").await);
    let service = open(BalanceOptions::default(), &[one.address, other.address]).await;
    let mut client = Client::new(&service).await;
    let mut first = 0_i32;
    for _ in 0..10_000 {
        first += i32::from(client.get().await.body == "one");
    }
    assert!((first - 5000).abs() <= 250, "{first}");
}

#[tokio::test]
async fn a_weight_is_a_multiple_of_the_requests() {
    let (one, other) = (named("one").await, named("other").await);
    let heavy = Share {
        weight: 3,
        ..Share::default()
    };
    let balancing = BalanceOptions {
        shares: vec![heavy],
        ..by(BalanceMethod::RoundRobin)
    };
    let service = open(balancing, &[one.address, other.address]).await;
    let mut client = Client::new(&service).await;
    let mut first = 0;
    for _ in 0..40 {
        first += i32::from(client.get().await.body == "one");
    }
    assert_eq!(first, 30);
}

#[tokio::test]
async fn requests_survive_a_backend_that_refuses_or_dies() {
    for balancer in [
        "random-two",
        "round-robin",
        "least-conn",
        "ip-hash",
        "cookie",
    ] {
        let is_dead = Arc::new(AtomicBool::new(false));
        let (good, bad) = (named("good").await, dying("bad", &is_dead).await);
        let backends = [refusing_address().await, bad.address, good.address];
        let service = open(by(balancer.parse().unwrap()), &backends).await;
        let mut client = Client::new(&service).await;
        for number in 0..200 {
            is_dead.store(number >= 50, Ordering::SeqCst);
            let answer = client.get().await;
            assert_eq!(answer.status, StatusCode::OK, "{balancer} {number}");
        }
        let backends = service.upstreams[0].backends();
        assert!(!backends[2].is_ejected(), "{balancer}");
    }
}

#[tokio::test]
async fn requests_that_are_not_idempotent_are_not_retried() {
    let is_dead = Arc::new(AtomicBool::new(true));
    let bad = [dying("one", &is_dead).await, dying("other", &is_dead).await];
    let service = open(BalanceOptions::default(), &[bad[0].address, bad[1].address]).await;
    let answer = Client::new(&service).await.ask(Method::POST, None).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(bad[0].connections() + bad[1].connections(), 1);
    let answer = Client::new(&service).await.get().await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(bad[0].connections() + bad[1].connections(), 3);
}

#[tokio::test]
async fn the_retry_budget_bounds_retries_in_an_outage() {
    let is_dead = Arc::new(AtomicBool::new(true));
    let bad = [dying("one", &is_dead).await, dying("other", &is_dead).await];
    // The budget refills from here on.
    let start = Instant::now();
    let service = open(BalanceOptions::default(), &[bad[0].address, bad[1].address]).await;
    let mut client = Client::new(&service).await;
    for _ in 0..500 {
        assert_eq!(client.get().await.status, StatusCode::BAD_GATEWAY);
    }
    let attempts = (bad[0].connections() + bad[1].connections()) as f64;
    let most = 500.0 * 1.2 + 10.0 + 10.0 * start.elapsed().as_secs_f64();
    assert!((501.0..=most).contains(&attempts), "{attempts} of {most}");
}

#[tokio::test]
async fn a_full_backend_has_a_bounded_queue() {
    let (gate, opened) = (Arc::new(tokio::sync::Semaphore::new(0)), "done");
    let held = Arc::clone(&gate);
    let origin = Origin::start(move |mut connection| {
        let gate = Arc::clone(&held);
        async move {
            while connection.read_request().await.is_some() {
                gate.acquire().await.unwrap().forget();
                connection
                    .raw
                    .send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")
                    .await;
            }
        }
    })
    .await;
    let balancing = BalanceOptions {
        max_connections: Some(1),
        queue: 1,
        ..BalanceOptions::default()
    };
    let service = open(balancing, &[origin.address]).await;
    let mut clients = [
        Client::new(&service).await,
        Client::new(&service).await,
        Client::new(&service).await,
    ];
    let [served, queued, refused] = &mut clients;
    let serve = async {
        let (first, second) = tokio::join!(served.get(), queued.get());
        assert_eq!(
            (first.body.as_str(), second.body.as_str()),
            (opened, opened)
        );
    };
    let refuse = async {
        soon(async {
            while service.upstreams[0].queued() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let answer = refused.get().await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers["retry-after"], "1");
        gate.add_permits(2);
    };
    tokio::join!(serve, refuse);
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_request_that_waits_too_long_in_the_queue_gets_503() {
    let origin = Origin::start(async |mut connection| {
        connection.read_request().await;
        std::future::pending().await
    })
    .await;
    let balancing = BalanceOptions {
        max_connections: Some(1),
        queue_timeout: Duration::from_millis(20),
        ..BalanceOptions::default()
    };
    let service = open(balancing, &[origin.address]).await;
    let mut first = Client::new(&service).await;
    let holding = first.get();
    let late = async {
        service.in_flight(1).await;
        Client::new(&service).await.get().await
    };
    tokio::select! {
        _ = holding => unreachable!(),
        answer = late => assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn cookie(answer: &Answer) -> Option<String> {
    let field = answer.headers.get("set-cookie")?.to_str().unwrap();
    Some(field.split_once(';').unwrap().0.to_owned())
}

#[tokio::test]
async fn a_cookie_keeps_a_browser_at_its_backend_until_that_dies() {
    let is_dead = [0, 1].map(|_| Arc::new(AtomicBool::new(false)));
    let origins = [
        dying("one", &is_dead[0]).await,
        dying("other", &is_dead[1]).await,
    ];
    let service = open(
        by(BalanceMethod::Cookie),
        &[origins[0].address, origins[1].address],
    )
    .await;
    let mut client = Client::new(&service).await;
    let first = client.get().await;
    let kept = cookie(&first).unwrap();
    for _ in 0..20 {
        let answer = client.ask(Method::GET, Some(&kept)).await;
        assert_eq!(answer.body, first.body);
        assert_eq!(cookie(&answer), None);
    }
    is_dead[usize::from(first.body != "one")].store(true, Ordering::SeqCst);
    let moved = client.ask(Method::GET, Some(&kept)).await;
    assert_eq!(moved.status, StatusCode::OK);
    assert_ne!(moved.body, first.body);
    let new = cookie(&moved).unwrap();
    assert_ne!(new, kept);
    let after = client.ask(Method::GET, Some(&new)).await;
    assert_eq!((after.body.clone(), cookie(&after)), (moved.body, None));
}

#[tokio::test]
async fn a_backend_with_weight_zero_keeps_its_browsers_and_gets_no_new_ones() {
    let origins = [named("one").await, named("other").await];
    let addresses = origins.each_ref().map(|origin| origin.address);
    let weighted = |weight| BalanceOptions {
        shares: vec![Share {
            weight,
            ..Share::default()
        }],
        cookie_key: Some(CookieKey::new(None, b"a key for both services".to_vec())),
        ..by(BalanceMethod::Cookie)
    };
    let before = open(weighted(1), &addresses[..1]).await;
    let kept = cookie(&Client::new(&before).await.get().await).unwrap();

    let service = open(weighted(0), &addresses).await;

    let mut client = Client::new(&service).await;
    for _ in 0..20 {
        assert_eq!(client.ask(Method::GET, Some(&kept)).await.body, "one");
        assert_eq!(client.get().await.body, "other");
    }
}

#[tokio::test]
async fn a_forged_cookie_is_ignored() {
    let (one, other) = (named("one").await, named("other").await);
    let service = open(by(BalanceMethod::Cookie), &[one.address, other.address]).await;
    let mut client = Client::new(&service).await;
    let real = cookie(&client.get().await).unwrap();
    let name = real.split_once('=').unwrap().0;
    let mut bodies = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let forged = format!("{name}={}", one.address);
        let answer = client.ask(Method::GET, Some(&forged)).await;
        assert!(cookie(&answer).is_some());
        bodies.insert(answer.body);
    }
    assert_eq!(bodies.len(), 2, "a client cannot choose its backend");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ip_hash_uses_the_address_that_a_trusted_peer_forwards() {
    let origins = [named("a").await, named("b").await];
    let text = format!(
        "trust = [\"127.0.0.1\"]\n[sites.\"localhost\"]\nupstream = [\"{}\", \"{}\"]\nbalance = \"ip-hash\"\n",
        origins[0].address, origins[1].address
    );
    let proxy = proxy::ProxySetup::new().proxyfile(&text).start().await;
    let client = proxy.client();
    let mut bodies = std::collections::BTreeSet::new();
    for client_number in 0..24 {
        let field = ("x-forwarded-for", format!("192.0.2.{client_number}"));
        let fields = [(field.0, field.1.as_str())];
        let first = client.fields(proxy.https(), "localhost", &fields).await;
        let second = client.fields(proxy.https(), "localhost", &fields).await;
        assert_eq!(first, second, "{}", field.1);
        bodies.insert(first);
    }
    assert_eq!(bodies.len(), 2, "all clients went to one backend");
}

#[tokio::test]
async fn a_client_address_stays_with_its_backend() {
    let origins = [named("a").await, named("b").await, named("c").await];
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let service = open(by(BalanceMethod::IpHash), &addresses).await;
    let first = Client::new(&service).await.get().await.body;
    for _ in 0..20 {
        assert_eq!(Client::new(&service).await.get().await.body, first);
    }
}
