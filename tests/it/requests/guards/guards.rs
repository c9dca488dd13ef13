//! Access control of a site: networks, passwords, sizes and time limits.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Frame;
use proxy::proxy::{
    BasicAuthOptions, GuardOptions, HstsOptions, NetworkOptions, PasswordHash, Realm,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::harness::backends::origin::{Origin, OriginConnection};
use crate::harness::backends::web_app::App;
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;
use crate::harness::service::{Service, ServiceSetup, empty, frames};

async fn serve(app: &Origin, guards: &GuardOptions) -> Service {
    let setup = ServiceSetup::new().site("www.example.org", &[app.address]);
    setup.guarded(guards).start().await
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n{fields}\r\n")
}

fn networks(allow: &[&str], deny: &[&str]) -> GuardOptions {
    let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    GuardOptions {
        networks: NetworkOptions {
            allow: parse(allow),
            deny: parse(deny),
        },
        ..GuardOptions::default()
    }
}

#[tokio::test]
async fn only_clients_of_allowed_networks_are_admitted() {
    let mut app = Origin::ok().await;
    for (guards, status) in [
        (networks(&["127.0.0.0/8"], &[]), 200),
        (networks(&["10.0.0.0/8"], &[]), 403),
        (networks(&[], &["127.0.0.1/32"]), 403),
        (networks(&["127.0.0.0/8"], &["127.0.0.1/32"]), 403),
    ] {
        let service = serve(&app, &guards).await;
        let answer = ask(service.h1, get("X-Forwarded-For: 10.0.0.1\r\n")).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{guards:?}: {answer}");
    }
    app.event().await;
    assert!(app.is_quiet());
}

/// Guards that admit only `anna` with the password `pä:ss`.
fn passwords(forward: bool) -> GuardOptions {
    let hash = bcrypt::hash("pä:ss", 4).unwrap();
    GuardOptions {
        basic_auth: Some(BasicAuthOptions {
            realm: Realm::parse("the office").unwrap(),
            users: BTreeMap::from([("anna".to_owned(), PasswordHash::parse(&hash).unwrap())]),
            forward,
        }),
        ..GuardOptions::default()
    }
}

fn basic(credentials: &str) -> String {
    let token = BASE64_STANDARD.encode(credentials);
    format!("Authorization: Basic {token}\r\n")
}

#[tokio::test]
async fn a_client_with_the_password_is_admitted_and_the_app_does_not_see_it() {
    let mut app = Origin::ok().await;
    for is_forwarded in [false, true] {
        let service = serve(&app, &passwords(is_forwarded)).await;
        for _ in 0..2 {
            let answer = ask(service.h1, get(&basic("anna:pä:ss"))).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            let seen = app.event().await;
            assert_eq!(header(&seen, "authorization").is_some(), is_forwarded);
        }
    }
}

#[tokio::test]
async fn all_other_clients_get_a_401() {
    let mut app = Origin::ok().await;
    let service = serve(&app, &passwords(true)).await;
    let right = basic("anna:pä:ss");
    for fields in [
        String::new(),
        basic("anna:pä"),
        basic("bert:pä:ss"),
        basic("anna"),
        right.replace("Basic ", "Bearer "),
        format!("{right}{right}"),
        format!("{right}{}", basic("root:toor")),
        right.replace("Authorization", "Proxy-Authorization"),
        basic(&format!("anna:{}", "x".repeat(20_000))),
    ] {
        let answer = ask(service.h1, get(&fields)).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{fields}: {answer}");
        let challenge = "Basic realm=\"the office\", charset=\"UTF-8\"";
        assert_eq!(header(&answer, "www-authenticate"), Some(challenge));
        assert!(
            answer.contains("\r\n\r\nThis site needs a name"),
            "{answer}"
        );
    }
    assert!(app.is_quiet());
}

#[tokio::test]
async fn no_path_method_or_protocol_bypasses_a_guard() {
    let mut app = Origin::ok().await;
    let service = serve(&app, &passwords(false)).await;
    for (line, host) in [
        ("GET // HTTP/1.1", "www.example.org"),
        ("GET /public/../%2e%2e/ HTTP/1.1", "www.example.org"),
        (
            "GET /.well-known/acme-challenge/a HTTP/1.1",
            "www.example.org",
        ),
        (
            "GET http://www.example.org/ HTTP/1.1",
            "elsewhere.example.org",
        ),
        ("OPTIONS * HTTP/1.1", "www.example.org"),
        ("POST /;a HTTP/1.1", "WWW.EXAMPLE.ORG:443"),
        ("BREW / HTTP/1.1", "www.example.org."),
        ("GET / HTTP/1.0", "www.example.org"),
    ] {
        let request = format!("{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = ask(service.h1, request).await;
        assert!(answer.contains(" 401 "), "{line}: {answer}");
    }
    let socket = "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut client = RawStream::connect(service.h1).await;
    client.send(socket).await;
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    let request = Request::get("https://www.example.org/").body(empty());
    assert_eq!(service.fetch2(request.unwrap()).await.status(), 401);
    assert!(app.is_quiet());
}

fn at_most(bytes: u64) -> GuardOptions {
    GuardOptions {
        max_body: Some(bytes),
        ..GuardOptions::default()
    }
}

fn post(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: www.example.org\r\n{fields}\r\n")
}

#[tokio::test]
async fn a_body_whose_length_is_too_large_is_refused_before_it_is_sent() {
    let mut app = Origin::ok().await;
    let service = serve(&app, &at_most(5)).await;
    for fields in [
        "Content-Length: 6\r\n",
        "Expect: 100-continue\r\nContent-Length: 999999999\r\n",
    ] {
        let mut client = RawStream::connect(service.h1).await;
        client.send(post(fields)).await;
        let head = client.read_head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        assert_eq!(header(&head, "connection"), Some("close"));
    }
    assert!(app.is_quiet());
    let fits = post("Content-Length: 5\r\nConnection: close\r\n") + "12345";
    let answer = ask(service.h1, fits).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_cut_and_answered_with_413() {
    let mut app = Origin::start(|mut connection: OriginConnection| async move {
        let seen = connection.raw.read_to_end().await;
        let is_whole = seen.ends_with("\r\n0\r\n\r\n");
        connection.tell(if is_whole { "whole" } else { "broken" });
    })
    .await;
    let service = serve(&app, &at_most(70_000)).await;
    let mut client = RawStream::connect(service.h1).await;
    client.send(post("Transfer-Encoding: chunked\r\n")).await;
    let piece = format!("2710\r\n{}\r\n", "x".repeat(10_000));
    for _ in 0..8 {
        client.send(&piece).await;
    }
    // It continues to send, like browsers, which write everything before they read.
    for _ in 0..100 {
        client.send(&piece).await;
    }
    client.send("0\r\n\r\n").await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("larger than this site allows"), "{answer}");
    assert_eq!(app.event().await, "broken");

    let pieces = [0; 2].map(|_| Frame::data(Bytes::from(vec![b'x'; 40_000])));
    let request = Request::post("https://www.example.org/").body(frames(pieces.into()));
    let answer = service.fetch2(request.unwrap()).await;
    assert_eq!(answer.status(), 413);
    assert_eq!(app.event().await, "broken");
}

#[tokio::test]
async fn a_site_may_accept_smaller_heads_than_others() {
    let mut app = Origin::ok().await;
    let guards = GuardOptions {
        head_size: Some(8192),
        head_fields: Some(10),
        ..GuardOptions::default()
    };
    let service = serve(&app, &guards).await;
    let large = format!("x: {}\r\n", "y".repeat(8192));
    let many: String = (0..10).map(|n| format!("x-{n}: y\r\n")).collect();
    for fields in [large, many] {
        let answer = ask(service.h1, get(&fields)).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert!(app.is_quiet());
    let answer = ask(service.h1, get("")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

fn within(millis: u64) -> GuardOptions {
    GuardOptions {
        request_timeout: Some(Duration::from_millis(millis)),
        ..GuardOptions::default()
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_gets_a_504() {
    let mut app = Origin::answering("").await;
    let service = serve(&app, &within(200)).await;
    let answer = ask(service.h1, get("")).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    app.event().await;
    service.in_flight(0).await;
}

#[tokio::test]
async fn a_response_that_takes_too_long_is_cut_and_never_looks_complete() {
    let app =
        Origin::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            .await;
    let service = serve(&app, &within(300)).await;
    let answer = ask(service.h1, get("")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("5\r\nhello\r\n"), "{answer}");
    let request = Request::get("https://www.example.org/").body(empty());
    let answer = service.fetch2(request.unwrap()).await;
    assert!(soon(answer.into_body().collect()).await.is_err());
    service.in_flight(0).await;
}

#[tokio::test]
async fn hsts_is_sent_unless_the_app_sets_its_own() {
    let name = "strict-transport-security";
    let app = Origin::start(|mut connection: OriginConnection| async move {
        while let Some(head) = connection.read_request().await {
            let own = match head.starts_with("GET /own ") {
                true => "strict-transport-security: max-age=1\r\n",
                false => "",
            };
            let answer = format!("HTTP/1.1 200 OK\r\n{own}content-length: 0\r\n\r\n");
            connection.raw.send(answer).await;
        }
    })
    .await;
    let mut guards = networks(&[], &[]);
    guards.hsts = Some(HstsOptions {
        max_age: Duration::from_secs(300),
        include_subdomains: true,
        preload: false,
    });
    let open = serve(&app, &guards).await;
    let told = Some("max-age=300; includeSubDomains");
    assert_eq!(header(&ask(open.h1, get("")).await, name), told);
    let own = get("").replacen("GET /", "GET /own", 1);
    assert_eq!(header(&ask(open.h1, own).await, name), Some("max-age=1"));
    guards.networks = networks(&[], &["127.0.0.0/8"]).networks;
    let closed = serve(&app, &guards).await;
    let refused = ask(closed.h1, get("")).await;
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    assert_eq!(header(&refused, name), told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hash_from_hash_password_works_in_the_proxyfile() {
    let hashed = tokio::process::Command::new("sh")
        .args(["-c", "printf 'se:cret\\n' | \"$0\" hash-password"])
        .arg(env!("CARGO_BIN_EXE_proxy"))
        .output()
        .await
        .unwrap();
    let hash = String::from_utf8(hashed.stdout).unwrap();
    let app = App::start().await;
    let setup = ProxySetup::new();
    setup.file("anna.hash", &hash);
    let text = format!(
        "[sites.\"localhost\"]\nupstream = \"{}\"\nbasic-auth = {{ users = {{ anna = \"file:anna.hash\" }} }}\n",
        app.address
    );
    let proxy = setup.proxyfile(&text).start().await;
    let client = proxy.client();
    let mut sender = client.http1(proxy.https(), "localhost").await;
    for (credentials, status) in [("anna:se:cret", 200), ("anna:secret", 401)] {
        let token = BASE64_STANDARD.encode(credentials);
        let request = Request::get("/")
            .header("host", "localhost")
            .header("authorization", format!("Basic {token}"));
        let request = request.body(Default::default()).unwrap();
        soon(sender.ready()).await.unwrap();
        let answer = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(answer.status(), status);
        answer.into_body().collect().await.unwrap();
    }
    assert!(!proxy.log().contains("cret"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_per_client_are_limited() {
    let app = App::start().await;
    let text = format!(
        "[sites]\n\"localhost\" = \"{}\"\n[limits]\nconnections-per-client = 3\n",
        app.address
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    let client = proxy.client();
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(client.connect(proxy.https(), "localhost").await.unwrap());
    }
    for address in [proxy.https(), proxy.http()] {
        let mut next = TcpStream::connect(address).await.unwrap();
        assert_eq!(soon(next.read(&mut [0; 16])).await.unwrap_or(0), 0);
    }
    open.pop();
    soon(async {
        while client.connect(proxy.https(), "localhost").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
