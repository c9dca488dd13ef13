//! Requests over HTTP/3: heads, bodies, trailers, interim responses, and their ends on either side.

use bytes::Bytes;
use h3::error::Code;
use http::{HeaderMap, StatusCode, Version};

use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::App;
use crate::harness::clients::http3::{Http3, reset_code};
use crate::harness::clients::raw::header;
use crate::harness::proxy::{Proxy, ProxySetup};

/// A proxy that serves this backend as `localhost` over HTTP/3.
pub(super) async fn start(upstream: &str, rest: &str) -> Proxy {
    let text = format!(
        "http3 = true\naccess-log = {{ file = \"access.log\" }}\n{rest}\n[sites]\n\"localhost\" = \"{upstream}\"\n"
    );
    ProxySetup::new().proxyfile(&text).start().await
}

async fn app() -> (Proxy, App) {
    let app = App::start().await;
    (start(&app.address.to_string(), "").await, app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_answered_and_logged_with_its_version() {
    // Given a proxy with HTTP/3.
    let (proxy, _app) = app().await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    // When a client asks for a page.
    let answer = http3.get("/").await;
    // Then it gets the page of the backend, and the log has the version.
    assert_eq!(
        (answer.status, &answer.body[..]),
        (StatusCode::OK, &b"hello"[..])
    );
    assert!(answer.headers.contains_key("date"));
    assert!(answer.headers.get("alt-svc").is_none(), "it knows already");
    drop(http3);
    let setup = proxy.stop().await;
    let log =
        std::fs::read_to_string(setup.file("other", "").with_file_name("access.log")).unwrap();
    assert!(log.contains("HTTP/3"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_sees_an_ordinary_request_without_a_body() {
    let (proxy, _app) = app().await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    let request = http3
        .request("GET", "/fields")
        .header("x-forwarded-for", "192.0.2.9");
    let mut exchange = http3.begin(request).await;
    exchange.finish().await;
    let seen = exchange.answer().await.unwrap().body;
    let seen = String::from_utf8(seen.to_vec()).unwrap();
    assert_eq!(header(&seen, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header(&seen, "x-forwarded-proto"), Some("https"));
    for framing in ["transfer-encoding", "content-length"] {
        assert_eq!(header(&seen, framing), None, "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_any_size_pass_both_ways_on_many_streams() {
    let (proxy, _app) = app().await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    // Given uploads of several sizes, with and without a length.
    for (length, is_declared) in [(0, false), (1, true), (70_000, false), (3_000_000, true)] {
        let mut request = http3.request("POST", "/upload");
        if is_declared {
            request = request.header("content-length", length);
        }
        // When they are sent.
        let mut exchange = http3.begin(request).await;
        for piece in vec![b'x'; length].chunks(50_000) {
            exchange.send(piece.to_vec()).await.unwrap();
        }
        exchange.finish().await;
        // Then the backend has all of them.
        let answer = exchange.answer().await.unwrap();
        assert_eq!(answer.body, length.to_string());
    }
    // Given downloads that run at the same time.
    let mut downloads = Vec::new();
    for length in [1, 100_000, 5_000_000] {
        let request = http3.request("GET", &format!("/download?{length}"));
        let mut exchange = http3.begin(request).await;
        exchange.finish().await;
        downloads.push((length, exchange));
    }
    for (length, mut exchange) in downloads {
        let answer = exchange.answer().await.unwrap();
        assert_eq!(answer.body.len(), length);
        assert_eq!(answer.headers["content-length"], length.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_to_head_has_a_length_and_no_body() {
    let (proxy, _app) = app().await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    let request = http3.request("HEAD", "/download?1000");
    let mut exchange = http3.begin(request).await;
    exchange.finish().await;
    let answer = exchange.answer().await.unwrap();
    assert_eq!(answer.headers["content-length"], "1000");
    assert!(answer.body.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_and_interim_responses_pass() {
    // Given a backend that sends early hints and a response with trailers.
    let origin = Origin::answering(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n\
         HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
         2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n",
    )
    .await;
    let proxy = start(&origin.address.to_string(), "").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    let request = http3.request("GET", "/").header("te", "trailers");
    let mut exchange = http3.begin(request).await;
    exchange.finish().await;
    // Then the client gets all of it.
    let hints = exchange.head().await.unwrap();
    assert_eq!(hints.status(), StatusCode::EARLY_HINTS);
    assert_eq!(hints.headers()["link"], "</a.css>");
    assert_eq!(hints.version(), Version::HTTP_3);
    let answer = exchange.answer().await.unwrap();
    assert_eq!(answer.body, "ok");
    assert_eq!(answer.trailers.unwrap()["x-sum"], "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_of_a_request_reach_the_backend() {
    let mut origin = Origin::start(|mut connection| async move {
        connection.raw.read_head().await;
        let body = connection.raw.read_until("\r\n\r\n").await;
        connection.tell(body.unwrap_or_default());
        connection
            .raw
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
    })
    .await;
    let proxy = start(&origin.address.to_string(), "").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    let request = http3.request("POST", "/").header("trailer", "x-sum");
    let mut exchange = http3.begin(request).await;
    exchange.send("body").await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "9".parse().unwrap());
    exchange.0.send_trailers(trailers).await.unwrap();
    exchange.finish().await;
    assert_eq!(exchange.answer().await.unwrap().body, "ok");
    let seen = origin.event().await;
    assert!(seen.ends_with("x-sum: 9\r\n\r\n"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_gives_up_cancels_the_request_at_the_backend() {
    // Given a backend that does not answer.
    let mut origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.read_to_end().await;
        connection.tell("closed");
    })
    .await;
    let proxy = start(&origin.address.to_string(), "").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    let request = http3.request("GET", "/");
    let mut exchange = http3.begin(request).await;
    exchange.finish().await;
    origin.event().await;
    // When the client wants no response any more.
    exchange.0.stop_sending(Code::H3_REQUEST_CANCELLED);
    // Then the backend's connection is closed.
    assert_eq!(origin.event().await, "closed");
    // And the client's own one goes on.
    let request = http3.request("GET", "/");
    http3.begin(request).await.finish().await;
    origin.event().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_reset_never_looks_complete_to_the_backend() {
    let mut origin = Origin::start(|mut connection| async move {
        let head = connection.raw.read_head().await.unwrap();
        connection.tell("begun");
        let body = connection.raw.read_body(&head).await;
        connection.tell(body.as_deref().unwrap_or("broken"));
    })
    .await;
    let proxy = start(&origin.address.to_string(), "").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    let request = http3.request("POST", "/");
    let mut exchange = http3.begin(request).await;
    exchange.send("half").await.unwrap();
    assert_eq!(origin.event().await, "begun");
    exchange.0.stop_stream(Code::H3_REQUEST_CANCELLED);
    assert_eq!(origin.event().await, "broken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_breaks_off_never_looks_complete() {
    let origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection
            .raw
            .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            .await;
    })
    .await;
    let proxy = start(&origin.address.to_string(), "").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    let request = http3.request("GET", "/");
    let mut exchange = http3.begin(request).await;
    exchange.finish().await;
    let error = exchange.answer().await.unwrap_err();
    assert_eq!(reset_code(&error), Code::H3_INTERNAL_ERROR);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_differs_from_its_length_is_refused() {
    let mut origin = Origin::ok().await;
    let proxy = start(&origin.address.to_string(), "").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    for body in ["short", "much too long"] {
        let request = http3.request("POST", "/").header("content-length", 9);
        let mut exchange = http3.begin(request).await;
        // The proxy may refuse before the end is sent.
        let _ = exchange.send(body).await;
        let _ = exchange.0.finish().await;
        match exchange.answer().await {
            Ok(answer) => assert_eq!(answer.status, StatusCode::BAD_REQUEST),
            Err(error) => assert_eq!(reset_code(&error), Code::H3_MESSAGE_ERROR),
        }
        // And what the backend may have seen of it is not whole.
        assert_eq!(http3.get("/whole").await.body, "ok");
        loop {
            let event = origin.event().await;
            if event.starts_with("GET /whole ") {
                break;
            }
            assert_eq!(event, "broken", "{body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_answer_stops_the_upload() {
    // Given a site with a limit for bodies.
    let app = App::start().await;
    let text = format!(
        "http3 = true\n[sites]\n\"localhost\" = {{ upstream = \"{}\", max-body = \"1k\" }}\n",
        app.address
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    let request = http3
        .request("POST", "/upload")
        .header("content-length", 1 << 30);
    let mut exchange = http3.begin(request).await;
    // When the client sends more.
    let answer = exchange.answer().await.unwrap();
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    // Then it is told to stop without an error.
    let piece = Bytes::from(vec![0; 64 * 1024]);
    let error = loop {
        if let Err(error) = exchange.send(piece.clone()).await {
            break error;
        }
    };
    assert_eq!(reset_code(&error), Code::H3_NO_ERROR);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_of_another_certificate_is_misdirected_and_a_connect_is_refused() {
    let (proxy, _app) = app().await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    for (method, uri, status) in [
        (
            "GET",
            "https://other.example/",
            StatusCode::MISDIRECTED_REQUEST,
        ),
        ("GET", "https://localhost/", StatusCode::OK),
    ] {
        let request = http::Request::builder().method(method).uri(uri);
        let mut exchange = http3.begin(request).await;
        exchange.finish().await;
        assert_eq!(exchange.answer().await.unwrap().status, status, "{uri}");
    }
}
