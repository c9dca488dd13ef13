//! Targets that could reach the backend shortened or changed: each is refused, or arrives with one meaning only.

use super::fixtures::{setup, status2};
use crate::harness::clients::raw::{RawStream, ask};

fn request(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_target_with_a_fragment_is_refused() {
    let (mut origin, service) = setup().await;
    for line in [
        "DELETE /dav/test/#x",
        "GET /#",
        "GET /a?b#c/../d",
        "GET http://www.example.org#/x",
        "GET http://www.example.org/x#",
        "GET #x",
        "OPTIONS *#",
    ] {
        let answer = ask(service.h1, request(line)).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{line}: {answer}");
    }
    assert!(origin.is_quiet());
    // Percent-encoded, it is a part of the path.
    ask(service.h1, request("DELETE /dav/test/%23x")).await;
    let seen = origin.event().await;
    assert!(
        seen.starts_with("DELETE /dav/test/%23x HTTP/1.1\r\n"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_fragment_is_seen_in_every_request_of_a_connection() {
    let (mut origin, service) = setup().await;
    let mut client = RawStream::connect(service.h1).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
    // Sent ahead, and cut in two at the fragment.
    let post =
        "POST /a HTTP/1.1\r\nHost: www.example.org\r\nContent-Length: 3\r\n\r\n/#b".to_owned();
    client
        .send([post, get("/c"), "DELETE /d".to_owned()].concat())
        .await;
    for path in ["POST /a ", "GET /c "] {
        let seen = origin.event().await;
        assert!(seen.starts_with(path), "{seen}");
        let head = client.read_head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        client.read_exact(2).await;
    }
    client
        .send("#e HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n")
        .await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(origin.is_quiet());
}

#[tokio::test]
async fn characters_that_clients_leave_raw_arrive_percent_encoded() {
    let (mut origin, service) = setup().await;
    for (raw, sent) in [
        ("/a?`{}|^\\", "/a?%60%7B%7D%7C%5E%5C"),
        ("/\"{}|^", "/%22%7B%7D%7C%5E"),
        // Some backends read it as a slash, and its encoded form not.
        ("/a\\b", "/a\\b"),
        ("/%7b?%22'[]", "/%7b?%22'[]"),
    ] {
        ask(service.h1, request(&format!("GET {raw}"))).await;
        let seen = origin.event().await;
        assert!(
            seen.starts_with(&format!("GET {sent} HTTP/1.1\r\n")),
            "{seen}"
        );

        assert_eq!(status2(&service, raw.as_bytes()).await, Some(200), "{raw}");
        let seen = origin.event().await;
        assert!(
            seen.starts_with(&format!("GET {sent} HTTP/1.1\r\n")),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn an_http2_path_that_lacks_its_slash_is_refused() {
    let (mut origin, service) = setup().await;
    for path in ["?a", "*"] {
        assert_eq!(
            status2(&service, path.as_bytes()).await,
            Some(400),
            "{path}"
        );
    }
    assert!(origin.is_quiet());
}
