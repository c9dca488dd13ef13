//! The status page in a real browser.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use super::visitor::{TOKEN, Visitor, page_address, with_token};
use crate::harness::backends::node;
use crate::harness::backends::origin::refusing_address;
use crate::harness::backends::web_app::App;
use crate::harness::proxy::{Proxy, ProxySetup};
use crate::harness::skip::skip;

/// Time limit for a browser to start on a busy machine and to do all that the script asks for.
const PATIENCE: Duration = Duration::from_secs(180);
/// Sites beside those with a story.
const SITES: usize = 1_000;

/// A proxy with many sites, an app that works and a backend that does not.
async fn proxy_with_many_sites() -> Proxy {
    let (app, dead) = (App::start().await, refusing_address().await);
    let many: String = (0..SITES)
        .map(|number| format!("\"site-{number}.localhost\" = \"{}\"\n", app.address))
        .collect();
    let text = with_token("127.0.0.1:0", TOKEN)
        + &format!(
            "[sites]\nlocalhost = \"{}\"\n{many}[sites.\"dead.localhost\"]\nupstream = \"{dead}\"\nhealth = {{ path = \"/\", interval = \"1s\" }}\n",
            app.address
        );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    let client = proxy.client();
    for _ in 0..20 {
        client.get(proxy.https(), "localhost", "/").await;
        client.get(proxy.https(), "dead.localhost", "/").await;
    }
    proxy
}

/// Runs the script of the browser, and returns what it has seen.
async fn browse(chromium: &Path, url: &str) -> Value {
    let run = node::script("status_page.cjs")
        .args([chromium, Path::new(url)])
        .stderr(Stdio::piped())
        .output();
    let output = timeout(PATIENCE, run).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_a_thousand_sites_is_searched_by_keyboard_and_renews() {
    let (chromium, there) = (node::chromium(), node::is_there());
    let (Ok(chromium), Ok(())) = (&chromium, &there) else {
        return skip(there.err().or_else(|| chromium.err()).unwrap_or_default());
    };
    // Given a proxy with many sites, of which one has requests and one has a dead backend.
    let mut proxy = proxy_with_many_sites().await;
    let address = page_address(&mut proxy).await;
    let client = proxy.client();
    let before = client.serial(proxy.https(), "localhost").await.unwrap();

    // When a browser opens the page with its token, and does all that the script says.
    let seen = browse(chromium, &format!("http://{address}/?token={TOKEN}")).await;

    // Then the policy is kept, and the token is gone from the address.
    assert_eq!(seen["complaints"], json!([]), "{seen}");
    assert_eq!(seen["url"], format!("http://{address}/"), "{seen}");
    // Only a part of the sites is in the document; the search finds the others.
    assert_eq!(seen["sites"], SITES + 2, "{seen}");
    let rows = seen["rows"].as_u64().unwrap();
    assert!((10..=40).contains(&rows), "{seen}");
    assert_eq!(seen["found"], json!(["site-777.localhost"]), "{seen}");
    assert_eq!(seen["busiest"], "dead.localhost", "{seen}");
    let attention = seen["attention"].as_str().unwrap();
    assert!(
        attention.contains("dead.localhost") && attention.contains("refused"),
        "{seen}"
    );
    // What `proxy status` shows of handshakes and health checks is there.
    let numbers = seen["numbers"].as_str().unwrap();
    for word in ["TLS, full", "TLS, resumed", "TLS, failed"] {
        assert!(numbers.contains(word), "{numbers}");
    }
    let checked = seen["checked"].as_str().unwrap();
    assert!(checked.contains("runningchecked "), "{checked}");
    assert!(checked.contains("runningnot checked"), "{checked}");
    // All can be done by keyboard, and a renewal has changed the certificate.
    assert_eq!(seen["focused_by_key"], "search", "{seen}");
    assert_eq!(seen["unnamed"], json!([]), "{seen}");
    let said = seen["said"].as_str().unwrap();
    assert!(
        said.starts_with("localhost has a new certificate"),
        "{seen}"
    );
    let after = client.serial(proxy.https(), "localhost").await.unwrap();
    assert_ne!(before, after);
    // No text has too little contrast, and no view is wider than its screen.
    for view in seen["views"].as_array().unwrap() {
        assert_eq!(view["pale"], json!([]), "{view}");
        assert_eq!(view["overflow"], 0, "{view}");
    }
    assert_eq!(seen["views"].as_array().unwrap().len(), 4, "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_has_no_place_says_why_and_comes_when_there_is_one() {
    let (chromium, there) = (node::chromium(), node::is_there());
    let (Ok(chromium), Ok(())) = (&chromium, &there) else {
        return skip(there.err().or_else(|| chromium.err()).unwrap_or_default());
    };
    // Given as many browsers as there may be.
    let text = "page = \"127.0.0.1:0\"\n[sites]\nlocalhost = { respond = { body = \"hello\" } }\n";
    let mut proxy = ProxySetup::new().proxyfile(text).start().await;
    let address = page_address(&mut proxy).await;
    let visitor = Visitor::new(address);
    let mut browsers = Vec::new();
    for _ in 0..10 {
        let mut events = visitor.events().await;
        events.whole().await;
        browsers.push(events);
    }

    // When one more opens the page.
    let mut run = node::script("full_page.cjs")
        .args([chromium, Path::new(&format!("http://{address}/"))])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    let mut says = async || -> Value {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        serde_json::from_str(&line.expect("the script ends early")).unwrap()
    };
    let seen = says().await;

    // Then it says why it shows nothing, until one of the others leaves.
    assert_eq!(
        seen["says"], "as many browsers as there may be show the page; close it in one of them",
        "{seen}"
    );
    assert_eq!(seen["overflow"], 0, "{seen}");
    browsers.pop();
    assert_eq!(says().await["says"], "live");
}
