//! What one client may take of a page that is not on loopback.

use std::net::SocketAddr;

use super::visitor::{TOKEN, Visitor, page_address, with_token};
use crate::harness::clients::raw::RawStream;
use crate::harness::deadline::soon;
use crate::harness::ports::outward_address;
use crate::harness::proxy::{Proxy, ProxySetup};
use crate::harness::skip::skip;

const SITE: &str = "[sites]\nlocalhost = { respond = { body = \"hello\" } }\n";

/// A proxy with a page on all addresses, and the port of that.
async fn page_for_all() -> (Proxy, u16) {
    let text = with_token("0.0.0.0:0", TOKEN) + SITE;
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let port = page_address(&mut proxy).await.port();
    (proxy, port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_has_three_browsers_and_leaves_the_others_to_the_rest() {
    let Some(outward) = outward_address() else {
        return skip("this machine has no address but loopback ones");
    };
    let (_proxy, port) = page_for_all().await;
    let visitor = Visitor::admitted((outward, port).into(), TOKEN).await;
    let mut browsers = Vec::new();
    for _ in 0..3 {
        let mut events = visitor.events().await;
        events.whole().await;
        browsers.push(events);
    }

    // When it opens the page once more.
    let answer = visitor.get("/events").await;

    // Then it is told why not, and all else works, for it and for others.
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("close it in one of them"), "{answer}");
    assert!(visitor.get("/").await.starts_with("HTTP/1.1 200 "));
    let local = SocketAddr::from(([127, 0, 0, 1], port));
    let local = Visitor::admitted(local, TOKEN).await;
    for _ in 0..4 {
        let mut events = local.events().await;
        events.whole().await;
        browsers.push(events);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_has_four_connections_and_one_that_says_so() {
    let Some(outward) = outward_address() else {
        return skip("this machine has no address but loopback ones");
    };
    let (_proxy, port) = page_for_all().await;
    let address = SocketAddr::from((outward, port));
    let visitor = Visitor::new(address);
    // A connection without a request ends after five seconds, so a slow machine may need another try.
    let answer = soon(async {
        loop {
            let mut idle = Vec::new();
            for _ in 0..4 {
                idle.push(RawStream::connect(address).await);
            }
            let answer = visitor.get("/").await;
            if answer.starts_with("HTTP/1.1 503 ") {
                break answer;
            }
        }
    })
    .await;
    assert!(
        answer.contains("as many connections to the page"),
        "{answer}"
    );

    // One more is closed without an answer. Others can connect meanwhile.
    let local = Visitor::new(([127, 0, 0, 1], port).into());
    soon(async {
        loop {
            let mut idle = Vec::new();
            for _ in 0..5 {
                idle.push(RawStream::connect(address).await);
            }
            let answer = visitor.get("/").await;
            assert!(local.get("/").await.starts_with("HTTP/1.1 401 "));
            if answer.is_empty() {
                break;
            }
        }
    })
    .await;
    // All of them are free again.
    soon(async { while !visitor.get("/").await.starts_with("HTTP/1.1 401 ") {} }).await;
}
