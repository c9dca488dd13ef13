//! Targets that could reach the backend shortened or changed: each is refused, or arrives with one meaning only.

use super::fixtures::{setup, status2};
use crate::harness::clients::raw::ask;

fn request(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n")
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
