//! Backends that are unreachable, or whose responses are malformed or truncated.

use std::sync::Arc;

use h2::Reason;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use proxy::proxy::{AccessLog, AccessLogOptions, AccessLogTarget};

use super::fixtures::{CUT, URL2, get, last};
use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::clients::raw::{ask, header};
use crate::harness::deadline::soon;
use crate::harness::service::{Service, ServiceSetup, empty, serve};

#[tokio::test]
async fn a_malformed_response_is_a_bad_gateway() {
    for answer in [
        "garbage\r\n\r\n",
        "HTTP/1.1 xyz Bad\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let origin = Origin::answering(answer).await;
        let service = serve(&[origin.address]).await;
        let seen = ask(service.h1, last("GET", "")).await;
        assert!(seen.starts_with("HTTP/1.1 502 "), "{answer:?}: {seen}");
        assert!(!seen.contains("127.0.0.1"), "{seen}");
    }
}

#[tokio::test]
async fn the_framing_of_a_response_is_never_copied() {
    for (answer, length) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            None,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
            Some("2"),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
            Some("2"),
        ),
    ] {
        let origin = Origin::answering(answer).await;
        let service = serve(&[origin.address]).await;
        let seen = ask(service.h1, last("GET", "")).await;
        assert_eq!(header(&seen, "content-length"), length, "{seen}");
        assert_eq!(
            seen.matches("content-length").count(),
            usize::from(length.is_some()),
            "{seen}"
        );
        let response = service
            .fetch2(Request::get(URL2).body(empty()).unwrap())
            .await;
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "ok"
        );
    }
}

#[tokio::test]
async fn an_unreachable_backend_is_a_bad_gateway() {
    let service = serve(&[refusing_address().await, refusing_address().await]).await;
    let seen = ask(service.h1, last("GET", "")).await;
    assert!(seen.starts_with("HTTP/1.1 502 "), "{seen}");
    assert!(!seen.contains("127.0.0.1"), "{seen}");
    let service = serve(&[]).await;
    assert!(
        ask(service.h1, last("GET", ""))
            .await
            .starts_with("HTTP/1.1 503 ")
    );
}

async fn cut(answer: &'static str) -> Origin {
    Origin::start(move |mut connection| async move {
        connection.read_request().await;
        connection.raw.send(answer).await;
    })
    .await
}

#[tokio::test]
async fn a_truncated_response_never_looks_complete_over_http1() {
    for answer in CUT {
        let origin = cut(answer).await;
        let service = serve(&[origin.address]).await;
        let seen = ask(service.h1, get()).await;
        assert!(!seen.contains("0\r\n\r\n"), "{seen}");
        let request = Request::get("/")
            .header("host", "www.example.org")
            .body(empty())
            .unwrap();
        let response = service.fetch1(request).await;
        assert!(
            soon(response.into_body().collect()).await.is_err(),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_truncated_response_never_looks_complete_over_http2() {
    for answer in CUT {
        let origin = cut(answer).await;
        let service = serve(&[origin.address]).await;
        let request = Request::get(URL2).body(empty()).unwrap();
        let response = service.fetch2(request).await;
        let error = soon(response.into_body().collect()).await.unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        let reset = source.downcast_ref::<h2::Error>().unwrap();
        assert_eq!(reset.reason(), Some(Reason::INTERNAL_ERROR), "{answer}");
    }
}

#[tokio::test]
async fn a_response_head_may_have_64_kib_and_a_larger_one_is_reported() {
    let answer = |size: usize| {
        let field = "v".repeat(size);
        format!("HTTP/1.1 200 OK\r\nx-large: {field}\r\ncontent-length: 2\r\n\r\nok")
    };
    let origin = Origin::answering(answer(60 * 1024)).await;
    let taken = ask(serve(&[origin.address]).await.h1, last("GET", "")).await;
    assert!(taken.starts_with("HTTP/1.1 200 ") && taken.ends_with("ok"));
    let origin = Origin::answering(answer(100 * 1024)).await;
    let lines = tempfile::NamedTempFile::new().unwrap();
    let mut setup = ServiceSetup::new();
    let target = AccessLogTarget::File(lines.path().to_owned());
    let log = AccessLog::start(&AccessLogOptions::new(target), 1, &setup.tasks);
    setup.access_log = Some(log.unwrap());
    let service = setup
        .site("www.example.org", &[origin.address])
        .start()
        .await;
    let refused = ask(service.h1, last("GET", "")).await;
    assert!(refused.starts_with("HTTP/1.1 502 "), "{}", refused.len());
    soon(async {
        while !std::fs::read_to_string(lines.path())
            .unwrap()
            .contains("\"reason\":\"response-head-too-large\"")
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A backend whose answer to each request is the one that was set last. It closes each connection after its answer.
struct Mutable {
    answer: Arc<Mutex<Vec<u8>>>,
    service: Service,
    _origin: Origin,
}

impl Mutable {
    async fn start() -> Self {
        let answer = Arc::<Mutex<Vec<u8>>>::default();
        let current = Arc::clone(&answer);
        let origin = Origin::start(move |mut connection| {
            let answer = current.lock().clone();
            async move {
                connection.read_request().await;
                connection.raw.send(answer).await;
            }
        })
        .await;
        Self {
            answer,
            service: serve(&[origin.address]).await,
            _origin: origin,
        }
    }

    /// Returns the status that clients get over HTTP/1.1 and HTTP/2 when the backend gives this answer.
    async fn statuses(&self, answer: &[u8]) -> [StatusCode; 2] {
        answer.clone_into(&mut self.answer.lock());
        let said = String::from_utf8_lossy(answer);
        let seen = ask(self.service.h1, last("GET", "")).await;
        let status = seen
            .strip_prefix("HTTP/1.1 ")
            .and_then(|seen| seen.get(..3));
        let status = status.unwrap_or_else(|| panic!("{said:?}: {seen:?}"));
        let request = Request::get(URL2).body(empty()).unwrap();
        let response = soon(self.service.client2().await.send_request(request)).await;
        let response = response.unwrap_or_else(|error| panic!("{said:?}: {error:?}"));
        [status.parse().unwrap(), response.status()]
    }
}

const WHOLE: [&str; 6] = [
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx-t: 1\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0 200 OK\r\n\r\nhello",
    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
];

#[tokio::test]
async fn a_cut_head_is_a_bad_gateway_and_a_cut_body_has_its_head() {
    let backend = Mutable::start().await;
    for answer in &WHOLE[..3] {
        let head = answer.find("\r\n\r\n").unwrap() + 4;
        for len in 1..answer.len() {
            let statuses = backend.statuses(&answer.as_bytes()[..len]).await;
            let right = if len < head { 502 } else { 200 };
            assert_eq!(
                statuses.map(|status| status.as_u16()),
                [right; 2],
                "{:?}",
                &answer[..len]
            );
        }
    }
}

/// Changes a few bytes of `answer`.
fn mutate(answer: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..answer.len());
        match random.u8(..5) {
            0 => answer.truncate(at.max(1)),
            1 => answer[at] = random.u8(..),
            2 => answer[at] ^= 1 << random.u8(..8),
            3 => {
                let part = random.choice(["\r\n", "\r", "\n", "\0", " ", ":", "0", "f"]);
                answer.splice(at..at, part.into_iter().flat_map(str::bytes));
            }
            _ => {
                let end = answer.len().min(at + random.usize(1..20));
                let copy = answer[at..end].to_vec();
                let to = random.usize(..answer.len());
                answer.splice(to..to, copy);
            }
        }
    }
}

#[tokio::test]
async fn no_mutated_response_leaves_the_client_without_a_status() {
    let backend = Mutable::start().await;
    let mut random = fastrand::Rng::with_seed(12);
    for whole in WHOLE.iter().cycle().take(600) {
        let mut answer = whole.as_bytes().to_vec();
        mutate(&mut answer, &mut random);
        for status in backend.statuses(&answer).await {
            assert!(!status.is_informational(), "{answer:?}: {status}");
        }
    }
}
