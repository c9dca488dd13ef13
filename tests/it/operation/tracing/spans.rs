//! The spans of a request: one of the proxy, and one of each attempt at a backend.

use std::collections::BTreeMap;

use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::clients::raw::{RawStream, ask};
use crate::harness::proxy::ProxySetup;
use crate::harness::traces::collector::{Collector, Span};

use super::fixtures::{get, received, start, tracing};

const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";

/// Checks that a span has exactly these attributes.
#[track_caller]
fn has(span: &Span, expected: &[(&str, &str)]) {
    let expected = expected.iter().map(|(key, value)| (*key, *value));
    let found = span.attributes.iter();
    let found: BTreeMap<_, _> = found
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(found, expected.collect::<BTreeMap<_, _>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_has_a_span_and_its_exchange_one_below_it() {
    // Given a site over HTTPS with a route.
    let mut origin = Origin::ok().await;
    let mut collector = Collector::start().await;
    let backend = origin.address.to_string();
    let text = format!(
        "{}\n[sites.localhost]\nupstream = \"{backend}\"\nroutes = {{ \"/api/\" = \"{backend}\" }}\n",
        tracing(collector.address)
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;

    // When a client asks over HTTP/2, with a query that may be a secret.
    let answer = proxy
        .client()
        .get2(proxy.https(), "localhost", "/api/a?token=s3cret")
        .await;
    assert_eq!(answer.status, 200);

    // Then the spans say what happened, and the backend knows its parent.
    let (server, attempts) = collector.request().await;
    assert_eq!(attempts.len(), 1);
    let client = &attempts[0];
    let head = origin.event().await;
    assert_eq!(
        received(&head),
        [server.trace.as_str(), client.id.as_str(), "01"]
    );
    assert_eq!(client.traceparent().len(), 55);
    assert_eq!((&client.trace, &client.parent), (&server.trace, &server.id));
    assert_eq!(
        (server.name.as_str(), client.name.as_str()),
        ("GET /api", "GET")
    );
    assert!(server.start <= client.start);
    let port = proxy.https().port().to_string();
    let backend_port = origin.address.port().to_string();
    let url = format!("http://{backend}/api/a");
    let mut expected = vec![
        ("http.request.method", "GET"),
        ("url.scheme", "https"),
        ("url.path", "/api/a"),
        ("http.route", "/api"),
        ("server.address", "localhost"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "2"),
        ("http.response.status_code", "200"),
    ];
    if server.attributes.contains_key("server.port") {
        expected.push(("server.port", port.as_str()));
    }
    has(&server, &expected);
    has(
        client,
        &[
            ("http.request.method", "GET"),
            ("server.address", "127.0.0.1"),
            ("server.port", backend_port.as_str()),
            ("url.full", url.as_str()),
            ("network.protocol.version", "1.1"),
            ("http.response.status_code", "200"),
        ],
    );
    assert!(!server.is_failure && !client.is_failure);
    proxy.stop().await;
}

#[tokio::test]
async fn each_attempt_at_a_backend_is_a_span_of_its_own() {
    // Given a site whose first backend accepts no connection, and whose second closes it, until the third answers.
    let refusing = refusing_address().await;
    let closing = Origin::start(|mut connection| async move {
        connection.read_request().await;
    })
    .await;
    let mut origin = Origin::ok().await;
    let mut collector = Collector::start().await;
    let top = format!(
        "{}\nupstreams = {{ retries = 2, retry-budget = \"100%\", max-fails = 0 }}",
        tracing(collector.address)
    );
    let text = super::fixtures::proxyfile(&top, &[refusing, closing.address, origin.address]);
    let text = text + "balance = \"round-robin\"\n";
    let proxy = ProxySetup::new().proxyfile(&text).start().await;

    // When requests come until one has needed all three.
    let attempts = loop {
        let answer = get(&proxy, "/", "User-Agent: curl/8\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let head = origin.event().await;
        let (server, attempts) = collector.request().await;
        assert_eq!(server.get("user_agent.original"), "curl/8");
        assert!(!server.is_failure, "the client has got a good answer");
        assert_eq!(received(&head)[1], attempts.last().unwrap().id);
        if attempts.len() == 3 {
            break attempts;
        }
    };

    // Then each attempt has its backend, its number and its failure.
    let said = |span: &Span| {
        let keys = ["server.port", "http.request.resend_count", "error.type"];
        keys.map(|key| span.get(key).to_owned())
    };
    let port = |address: std::net::SocketAddr| address.port().to_string();
    let mut found: Vec<_> = attempts.iter().map(said).collect();
    for (number, attempt) in found.iter().enumerate() {
        let count = if number == 0 {
            String::new()
        } else {
            number.to_string()
        };
        assert_eq!(attempt[1], count);
    }
    found.iter_mut().for_each(|attempt| attempt[1].clear());
    found.sort();
    let none = String::new();
    let mut expected = vec![
        [
            port(refusing),
            none.clone(),
            "backend-unreachable".to_owned(),
        ],
        [
            port(closing.address),
            none.clone(),
            "backend-broken".to_owned(),
        ],
        [port(origin.address), none.clone(), none],
    ];
    expected.sort();
    assert_eq!(found, expected);
    assert!(attempts.windows(2).all(|pair| pair[0].end <= pair[1].end));
    proxy.stop().await;
}

/// Requests that are refused, each with its status, its reason, whether it counts as an error, and the name of its span.
fn refusals() -> [(String, &'static str, &'static str, bool, &'static str); 9] {
    let get = |host: &str, path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    };
    [
        (
            get("app.test", "/"),
            "502",
            "backend-unreachable",
            true,
            "GET",
        ),
        (
            get("app.test", "/private/a"),
            "403",
            "network",
            false,
            "GET /private",
        ),
        (get("mute.test", "/"), "504", "backend-timeout", true, "GET"),
        (get("other.test", "/"), "404", "unknown-host", false, "GET"),
        (get("tls.test", "/"), "308", "", false, "GET"),
        (
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
            "400",
            "host",
            false,
            "GET",
        ),
        (
            get("app.test", &"/a".repeat(5000)),
            "431",
            "head-too-large",
            false,
            "GET",
        ),
        (
            "BREW / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n".to_owned(),
            "404",
            "unknown-host",
            false,
            "HTTP",
        ),
        ("GET\r\n\r\n".to_owned(), "400", "malformed", false, "HTTP"),
    ]
}

#[tokio::test]
async fn every_refusal_has_a_span_and_only_the_proxys_own_failures_are_errors() {
    // Given sites that refuse requests in different ways, one of them without lines in the log.
    let refusing = refusing_address().await;
    let mute = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.read_to_end().await;
    })
    .await;
    let mut collector = Collector::start().await;
    let text = super::fixtures::proxyfile(&tracing(collector.address), &[refusing])
        + "limits = { head-size = \"8k\" }\n"
        + "routes = { \"/private\" = { allow = [\"192.0.2.1\"] } }\n"
        + &format!(
            "[sites.\"mute.test\"]\nhttp = \"serve\"\naccess-log = false\nupstream = \"{}\"\n\
             upstream-options = {{ response-timeout = \"100ms\" }}\n\
             [sites.\"tls.test\"]\nredirect = \"https://www.example.org\"\nissuer = \"internal\"\n",
            mute.address
        );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    for (request, status, reason, is_failure, name) in refusals() {
        // When one is refused.
        ask(proxy.http(), &request).await;

        // Then its span has the status and the reason, and only a 5xx is an error.
        let (server, _) = collector.request().await;
        let said = ["http.response.status_code", "proxy.reason", "error.type"];
        let error = if is_failure { reason } else { "" };
        assert_eq!(
            said.map(|key| server.get(key)),
            [status, reason, error],
            "{request}"
        );
        assert_eq!(server.name, name, "{request}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn the_span_of_a_tunnel_ends_with_it() {
    let origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.send(SWITCHED).await;
        connection.raw.send("open").await;
        connection.raw.read_to_end().await;
    })
    .await;
    let mut collector = Collector::start().await;
    let proxy = start(&tracing(collector.address), &[origin.address]).await;

    // Given an open WebSocket, and a request after it whose spans have arrived.
    let mut client = RawStream::connect(proxy.http()).await;
    client
        .send("GET /chat HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    client.read_head().await.unwrap();
    assert_eq!(client.read_exact(4).await, b"open");
    ask(
        proxy.http(),
        "GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(
        collector.request().await.0.get("server.address"),
        "other.test"
    );
    assert_eq!(collector.rest(), []);

    // When it ends, then so do its spans.
    client.finish().await;
    let (server, attempts) = collector.request().await;
    assert_eq!(server.get("http.response.status_code"), "101");
    assert_eq!(attempts[0].get("http.response.status_code"), "101");
    assert_eq!(
        (server.get("url.path"), server.is_failure),
        ("/chat", false)
    );
    proxy.stop().await;
}

#[tokio::test]
async fn a_response_that_breaks_off_is_an_error_in_both_spans() {
    let origin = Origin::answering_once("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello");
    let origin = origin.await;
    let cut = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection
            .raw
            .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")
            .await;
    })
    .await;
    let mut collector = Collector::start().await;
    let proxy = start(&tracing(collector.address), &[cut.address]).await;
    get(&proxy, "/", "").await;
    let (server, attempts) = collector.request().await;
    for span in [&server, &attempts[0]] {
        assert_eq!(span.get("http.response.status_code"), "200");
        assert_eq!(span.get("error.type"), "response-broken");
    }
    proxy.stop().await;

    // A client that leaves is no error of the proxy.
    let proxy = start(&tracing(collector.address), &[origin.address]).await;
    let mut client = RawStream::connect(proxy.http()).await;
    client
        .send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        .await;
    client.read_head().await.unwrap();
    client.reset();
    let (server, _) = collector.request().await;
    assert_eq!(
        (server.get("proxy.client_left"), server.is_failure),
        ("true", false)
    );
    proxy.stop().await;
}
