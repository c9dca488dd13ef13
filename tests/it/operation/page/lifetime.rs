//! The listener of the status page over reloads and upgrades.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::visitor::{TOKEN, Visitor, page_address, with_token};
use crate::harness::deadline::soon;
use crate::harness::ports::Reservation;
use crate::harness::proxy::{Proxy, ProxySetup};

fn sites(names: &[&str]) -> String {
    let site = |name: &&str| format!("\"{name}\" = {{ respond = {{ body = \"hello\" }} }}\n");
    format!("[sites]\n{}", names.iter().map(site).collect::<String>())
}

fn page(address: SocketAddr) -> String {
    format!("page = \"{address}\"\n")
}

async fn reloaded(proxy: &mut Proxy, text: &str) {
    let line = proxy.reload(text).await;
    assert!(line.contains("configuration reloaded"), "{line}");
}

async fn is_closed(address: SocketAddr) {
    soon(async { while TcpStream::connect(address).await.is_ok() {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_opens_keeps_moves_and_closes_the_page() {
    let (first, second) = (Reservation::new(), Reservation::new());
    let [one, two] = [first.address(), second.address()];
    drop((first, second));
    let local = sites(&["localhost"]);
    let mut proxy = ProxySetup::new().proxyfile(&local).start().await;
    assert!(TcpStream::connect(one).await.is_err());

    // Opened.
    reloaded(&mut proxy, &(page(one) + &local)).await;
    let mut events = Visitor::new(one).events().await;
    events.whole().await;

    // Kept: an open stream goes on, and hears of the new site and of the reload.
    reloaded(
        &mut proxy,
        &(page(one) + &sites(&["localhost", "a.localhost"])),
    )
    .await;
    let told = events.until(|data| !data["sites"]["a.localhost"].is_null());
    soon(told).await;

    // An address that cannot be opened leaves all as it was.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = page(taken.local_addr().unwrap()) + &local;
    let line = proxy.reload(&busy).await;
    assert!(line.contains("the page cannot be served on "), "{line}");
    assert!(line.contains("give another address as `page`"), "{line}");
    assert!(
        Visitor::new(one)
            .get("/")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    let told = events.until(|data| {
        let events = data["events"].as_array();
        events.is_some_and(|it| it.iter().any(|event| event["is_bad"] == true))
    });
    soon(told).await;

    // Moved: the history moves, too.
    reloaded(&mut proxy, &(page(two) + &local)).await;
    events.ended().await;
    is_closed(one).await;
    let whole = Visitor::new(two).events().await.whole().await;
    assert!(!whole["events"].as_array().unwrap().is_empty(), "{whole}");

    // Closed.
    reloaded(&mut proxy, &local).await;
    is_closed(two).await;
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_token_ends_the_pages_that_the_former_one_has_opened() {
    let local = sites(&["localhost"]);
    let text = with_token("127.0.0.1:0", TOKEN) + &local;
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let address = page_address(&mut proxy).await;
    let former = Visitor::admitted(address, TOKEN).await;
    let mut events = former.events().await;
    events.whole().await;

    let other = "another-token-of-the-page";
    reloaded(&mut proxy, &(with_token("127.0.0.1:0", other) + &local)).await;

    events.ended().await;
    let answer = former.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let visitor = Visitor::admitted(address, other).await;
    assert!(visitor.get("/").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_hands_the_socket_of_the_page_over() {
    let text = with_token("127.0.0.1:0", TOKEN) + &sites(&["localhost"]);
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let address = page_address(&mut proxy).await;
    let visitor = Visitor::admitted(address, TOKEN).await;
    let mut events = visitor.events().await;
    events.whole().await;

    proxy.upgrade().await;

    // The stream of the old process ends, and the cookie opens the page of the new one on the same port.
    events.ended().await;
    assert!(proxy.first_ended().await.success());
    assert!(visitor.get("/").await.starts_with("HTTP/1.1 200 "));
    let mut events = visitor.events().await;
    let served = |data: &serde_json::Value| data["names"]["localhost"]["state"] == "served";
    soon(events.until(served)).await;
}

#[tokio::test]
async fn the_page_ends_with_the_process() {
    let text = format!("page = \"127.0.0.1:0\"\n{}", sites(&["localhost"]));
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let address = page_address(&mut proxy).await;
    let mut events = Visitor::new(address).events().await;
    events.whole().await;
    let started = tokio::time::Instant::now();
    proxy.stop().await;
    events.ended().await;
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}
