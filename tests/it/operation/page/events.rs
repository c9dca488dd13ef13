//! The figures of the status page, as its stream of events tells them.

use serde_json::Value;

use super::visitor::{Events, Visitor, page_address};
use crate::harness::backends::origin::refusing_address;
use crate::harness::backends::web_app::App;
use crate::harness::clients::raw::ask;
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;

const PAGE: &str = "page = \"127.0.0.1:0\"\n";
/// The parts of the whole view.
const PARTS: [&str; 7] = [
    "process",
    "sites",
    "names",
    "upstreams",
    "refusals",
    "minutes",
    "events",
];
/// The most browsers at once.
const BROWSERS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_gets_the_whole_view_and_then_what_changes() {
    // Given a site with an app, and one without a request.
    let app = App::start().await;
    let text = format!(
        "{PAGE}[sites]\nlocalhost = \"{}\"\n\"a.localhost\" = \"{}\"\n",
        app.address, app.address
    );
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let visitor = Visitor::new(page_address(&mut proxy).await);
    let mut events = visitor.events().await;
    assert!(
        events.head.starts_with("HTTP/1.0 200 OK\r\n"),
        "{}",
        events.head
    );
    let mut told = events.whole().await;
    for part in PARTS {
        assert!(!told[part].is_null(), "{part}: {told}");
    }
    let served = |data: &Value| data["names"]["localhost"]["state"] == "served";
    if !served(&told) {
        told = soon(events.until(served)).await;
    }
    let name = &told["names"]["localhost"];
    for time in ["not_before", "renew_at", "not_after"] {
        assert!(name[time].as_str().unwrap().ends_with('Z'), "{name}");
    }

    // When clients ask.
    let client = proxy.client();
    for _ in 0..3 {
        client.get(proxy.https(), "localhost", "/").await;
    }
    let unknown = "GET / HTTP/1.1\r\nhost: example.org\r\nconnection: close\r\n\r\n";
    ask(proxy.http(), unknown).await;

    // Then the browser hears of that, and of nothing about the site that was not asked.
    let mut other_site = Vec::new();
    let (mut is_counted, mut is_refused) = (false, false);
    while !(is_counted && is_refused) {
        let (_, told) = soon(events.next()).await.unwrap();
        let site = &told["sites"]["localhost"];
        is_counted |= site["requests"] == 3 && site["minute"][0] == 3;
        is_refused |= told["refusals"]["unknown-host"]["last_hour"] == 1;
        other_site.push(told["sites"]["a.localhost"].clone());
    }
    assert!(other_site.iter().all(Value::is_null), "{other_site:?}");

    // A browser that comes later gets all at once.
    let whole = visitor.events().await.whole().await;
    assert_eq!(whole["sites"]["localhost"]["requests"], 3);
    assert_eq!(whole["process"]["minute"][0], 3);
    assert_eq!(whole["sites"].as_object().unwrap().len(), 2);
    let upstream = &whole["upstreams"]["localhost/"]["backends"][0];
    assert_eq!(upstream["address"], app.address.to_string());
    assert_eq!(upstream["state"], "up");
    // Without health checks, there is no time of one.
    assert_eq!(whole["checks"], serde_json::json!({}));
    let handshakes = whole["process"]["handshakes"].as_array().unwrap();
    let full = handshakes.iter().filter(|it| it["result"] == "full");
    assert!(
        full.map(|it| it["count"].as_u64().unwrap()).sum::<u64>() > 0,
        "{whole}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_goes_down_is_an_event() {
    let dead = refusing_address().await;
    let text = format!(
        "{PAGE}[sites.localhost]\nupstream = \"{dead}\"\nhealth = {{ path = \"/\", interval = \"50ms\" }}\n"
    );
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let visitor = Visitor::new(page_address(&mut proxy).await);
    let mut events = visitor.events().await;
    let has_event = |data: &Value| {
        let told = data["events"].as_array();
        told.is_some_and(|told| told.iter().any(|event| event["is_bad"] == true))
    };
    let told = soon(events.until(has_event)).await;
    let event = &told["events"].as_array().unwrap()[0];
    assert_eq!(event["subject"], format!("{dead} of localhost/"));
    let sentence = event["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("down: ") && sentence.contains("refused"),
        "{sentence}"
    );
    let whole = visitor.events().await.whole().await;
    let backend = &whole["upstreams"]["localhost/"]["backends"][0];
    assert_eq!(backend["state"], "down", "{whole}");
    assert!(
        backend["reason"].as_str().unwrap().contains("refused"),
        "{whole}"
    );
    // The time of its last check is told on its own.
    let check = &whole["checks"]["localhost/"][0];
    assert!(check.as_str().unwrap().ends_with('Z'), "{whole}");
    let is_later = |data: &Value| {
        let later = &data["checks"]["localhost/"][0];
        later.is_string() && later != check && data["upstreams"].is_null()
    };
    soon(events.until(is_later)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_browsers_than_there_may_be_are_refused_until_one_leaves() {
    let text = format!("{PAGE}[sites]\nlocalhost = {{ respond = {{ body = \"hello\" }} }}\n");
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let visitor = Visitor::new(page_address(&mut proxy).await);
    let mut browsers: Vec<Events> = Vec::new();
    for _ in 0..BROWSERS {
        let mut events = visitor.events().await;
        events.whole().await;
        browsers.push(events);
    }
    let answer = visitor.get("/events").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    // The page itself can still be loaded.
    assert!(visitor.get("/").await.starts_with("HTTP/1.1 200 "));
    browsers.pop();
    soon(async {
        while !visitor.events().await.head.contains(" 200 ") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
