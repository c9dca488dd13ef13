//! The access log: one line for each request, whatever its outcome and whatever its client sent.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use proxy::proxy::AccessLogFormat;
use serde_json::Value;

use super::fixtures::{Logged, get};
use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::clients::raw::{RawStream, ask, header};
use crate::harness::service::{ServiceSetup, empty};

#[tokio::test]
async fn a_line_has_all_fields_and_no_credential() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nset-cookie: s3cret\r\ncontent-length: 5\r\n\r\nhello",
    )
    .await;
    let log = Logged::serve(&origin).await;
    let fields = "User-Agent: curl/8\r\nReferer: https://a.example/?x\r\nCookie: s3cret\r\nAuthorization: Basic s3cret\r\n";
    ask(log.service.h1, get("/a?b=c", fields)).await;
    let request = Request::post("https://www.example.org/h2")
        .body(empty())
        .unwrap();
    let response = log.service.fetch2(request).await;
    response.into_body().collect().await.unwrap();

    let lines = log.json(2).await;
    let backend = origin.address.to_string();
    for (line, values) in [
        (
            &lines[0],
            [
                "GET",
                "/a?b=c",
                "HTTP/1.1",
                "curl/8",
                "https://a.example/?x",
            ],
        ),
        (&lines[1], ["POST", "/h2", "HTTP/2.0", "", ""]),
    ] {
        let keys = ["method", "path", "protocol", "user_agent", "referer"];
        assert_eq!(
            keys.map(|key| line[key].as_str().unwrap_or_default()),
            values
        );
        assert_eq!(line["host"], "www.example.org");
        assert_eq!(line["client"], "127.0.0.1");
        assert_eq!(line["upstream"], *backend);
        assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &5.into()));
        assert!(line["duration_ms"].as_f64() >= line["first_byte_ms"].as_f64());
        assert_eq!((line.get("reason"), line.get("client_left")), (None, None));
        assert!(!line.to_string().contains("s3cret"), "{line}");
    }
}

#[tokio::test]
async fn every_refusal_has_its_reason() {
    let setup = ServiceSetup::new()
        .site("www.example.org", &[refusing_address().await])
        .site("none.example.org", &[]);
    let plain =
        Origin::start(async |mut connection| connection.raw.send("HTTP/1.1 400 \r\n\r\n").await);
    let plain = plain.await;
    let setup = setup.upstream_at("tls.example.org", &[&format!("https://{}", plain.address)]);
    let log = Logged::new(|_| (), setup).await;
    let close = "Connection: close\r\n\r\n";
    for request in [
        get("/", ""),
        format!("GET / HTTP/1.1\r\nHost: other.example\r\n{close}"),
        format!("GET / HTTP/1.1\r\nHost: none.example.org\r\n{close}"),
        format!("GET / HTTP/1.1\r\nHost: a b\r\n{close}"),
        format!("GET / HTTP/1.1\r\nHost: tls.example.org\r\n{close}"),
        format!("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n{close}"),
        format!("HEAD / HTTP/1.1\r\nHost: other.example\r\n{close}"),
    ] {
        ask(log.service.h1, request).await;
    }
    let lines = log.json(7).await;
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line["reason"].as_str().unwrap(), line["status"].as_u64()))
        .collect();
    assert_eq!(
        told,
        [
            ("backend-unreachable", Some(502)),
            ("unknown-host", Some(421)),
            ("no-backend", Some(503)),
            ("host", Some(400)),
            ("backend-handshake", Some(502)),
            ("connect", Some(405)),
            ("unknown-host", Some(421)),
        ]
    );
    assert!(lines.iter().all(|line| line.get("client_left").is_none()));
    assert!(lines[0]["upstream"].is_string() && lines[4]["upstream"].is_string());
}

/// Builds an HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn a_closed_http_2_connection_leaves_a_line_with_the_reason() {
    let (data, headers, rst_stream, settings) = (0, 1, 3, 4);
    let origin = Origin::ok().await;
    let log = Logged::serve(&origin).await;
    // GET https://www.example.org/ in the shortest form.
    let head = [&b"\x82\x87\x84\x41\x0f"[..], b"www.example.org"].concat();
    let resets = (0..1000).flat_map(|n| {
        let stream = 2 * n + 1;
        let request = frame(headers, 5, stream, &head);
        [request, frame(rst_stream, 0, stream, &[0, 0, 0, 8])].concat()
    });
    for hostile in [frame(data, 0, 0, b"x"), resets.collect()] {
        let mut client = RawStream::connect(log.service.h2).await;
        let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let all = [hello, frame(settings, 0, 0, b""), hostile].concat();
        client.send(all).await;
        client.read_to_end().await;
    }
    let lines = log.json(2).await;
    assert!(lines.iter().all(|line| line["protocol"] == "HTTP/2.0"));
    let refusals = lines.iter().filter(|line| line.get("method").is_none());
    let told: Vec<_> = refusals
        .map(|line| (line["status"].as_u64(), line["reason"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Some(400), Some("http2-protocol")),
            (Some(429), Some("http2-flood"))
        ]
    );
}

#[tokio::test]
async fn hostile_bytes_stay_within_one_value_of_one_line() {
    let mut requests = Vec::new();
    for hostile in [&b"\"} \\ \xff\xc2\x9b \t,\"status\":999"[..], b"\x80\x81"] {
        let mut request = get("/%0a%22", "").into_bytes();
        request.truncate(request.len() - 2);
        request.extend_from_slice(b"User-Agent: ");
        request.extend_from_slice(hostile);
        request.extend_from_slice(b"\r\n\r\n");
        requests.push(request);
    }
    for format in [
        AccessLogFormat::Json,
        AccessLogFormat::Common,
        AccessLogFormat::Combined,
    ] {
        let origin = Origin::ok().await;
        let setup = ServiceSetup::new().site("www.example.org", &[origin.address]);
        let log = Logged::new(|options| options.format = format, setup).await;
        for request in &requests {
            let answer = ask(log.service.h1, request).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        let lines = log.lines(2).await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        for line in lines {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            match format {
                AccessLogFormat::Json => {
                    let line: Value = serde_json::from_str(&line).unwrap();
                    assert_eq!(line["status"], 200);
                }
                AccessLogFormat::Common => {
                    assert!(line.ends_with("\"GET /%0a%22 HTTP/1.1\" 200 2"), "{line}");
                }
                AccessLogFormat::Combined => {
                    let (start, agent) = line.split_once(" 200 2 \"-\" \"").unwrap();
                    assert!(start.starts_with("127.0.0.1 - - ["), "{line}");
                    assert!(start.contains(" +0000] \"GET /%0a%22 HTTP/1.1\""), "{line}");
                    assert_eq!(agent.matches('"').count(), 1, "{line}");
                    assert!(agent.is_ascii());
                }
            }
        }
    }
}

#[tokio::test]
async fn queries_are_left_out_if_they_may_hold_secrets() {
    let origin = Origin::ok().await;
    let setup = ServiceSetup::new().site("www.example.org", &[origin.address]);
    let log = Logged::new(|options| options.query = false, setup).await;
    ask(
        log.service.h1,
        get("/a?token=s3cret", "Referer: https://a/?s3cret\r\n"),
    )
    .await;
    let line = log.json(1).await.remove(0);
    assert_eq!(
        (&line["path"], &line["referer"]),
        (&"/a".into(), &"https://a/".into())
    );
    assert!(!line.to_string().contains("s3cret"));
}

#[tokio::test]
async fn a_client_that_leaves_early_is_distinguished_from_a_backend_that_breaks_off() {
    let origin = Origin::start(|mut connection| async move {
        let head = connection.read_request().await.unwrap();
        match head.split(' ').nth(1).unwrap() {
            "/silent" => {}
            path => {
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
                connection.raw.send(head).await;
                if path == "/broken" {
                    return;
                }
            }
        }
        connection.raw.read_to_end().await;
    })
    .await;
    // Nothing tells a client that has left from one that has closed its sending side, until the body time-out.
    let setup = ServiceSetup::new()
        .site("www.example.org", &[origin.address])
        .body_timeout(Duration::from_millis(100));
    let log = Logged::new(|_| (), setup).await;
    ask(log.service.h1, get("/broken", "")).await;
    log.lines(1).await;
    let mut client = RawStream::connect(log.service.h1).await;
    client.send(get("/slow", "")).await;
    client.read_until("hello").await;
    drop(client);
    log.lines(2).await;
    let mut client = RawStream::connect(log.service.h1).await;
    client.send(get("/silent", "")).await;
    log.service.in_flight(1).await;
    drop(client);

    let lines = log.json(3).await;
    let told = |line: &Value| {
        let keys = ["status", "bytes", "reason", "client_left"];
        keys.map(|key| {
            line.get(key)
                .map_or_else(|| "-".to_owned(), Value::to_string)
        })
    };
    assert_eq!(told(&lines[0]), ["200", "5", "\"response-broken\"", "-"]);
    assert_eq!(told(&lines[1]), ["200", "5", "-", "true"]);
    assert_eq!(told(&lines[2]), ["499", "0", "-", "true"]);
}

#[tokio::test]
async fn a_tunnel_is_logged_at_its_end_with_its_byte_counts() {
    let origin = Origin::start(|mut connection| async move {
        connection.read_request().await;
        let switched =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        connection.raw.send(switched).await;
        connection.raw.send("eleven byte").await;
        connection.raw.read_to_end().await;
    })
    .await;
    let log = Logged::serve(&origin).await;
    let mut client = RawStream::connect(log.service.h1).await;
    client
        .send("GET /ws HTTP/1.1\r\nHost: www.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    client.read_head().await.unwrap();
    assert_eq!(client.read_exact(11).await, b"eleven byte");
    drop(client);
    let line = log.json(1).await.remove(0);
    assert_eq!((&line["status"], &line["bytes"]), (&101.into(), &11.into()));
    assert_eq!(line.get("client_left"), None);
}

#[tokio::test]
async fn backend_client_and_log_get_the_same_request_id() {
    let mut origin =
        Origin::answering("HTTP/1.1 200 OK\r\nx-request-id: theirs\r\ncontent-length: 2\r\n\r\nok")
            .await;
    let mut setup = ServiceSetup::new();
    setup.features.request_id = true;
    let log = Logged::new(|_| (), setup.site("www.example.org", &[origin.address])).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let fields = "X-Request-Id: forged\r\nConnection: X-Request-Id\r\n";
        let answer = ask(log.service.h1, get("/", fields)).await;
        let seen = origin.event().await;
        let id = header(&answer, "x-request-id").unwrap().to_owned();
        assert_eq!(id.len(), 32);
        assert_eq!(answer.matches("x-request-id").count(), 1);
        assert_eq!(header(&seen, "x-request-id"), Some(&*id));
        ids.push(id);
    }
    assert_ne!(ids[0], ids[1]);
    let lines = log.json(2).await;
    assert_eq!(lines[0]["request_id"], *ids[0]);
}
