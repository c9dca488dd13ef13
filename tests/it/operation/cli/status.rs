//! `proxy status`: the state of a running proxy.

use serde_json::Value;

use crate::harness::admin::{run, status};
use crate::harness::clients::raw::ask;
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;

const SITES: [&str; 4] = [
    "--upstream",
    "localhost:1",
    "--domain",
    "localhost,a.localhost",
];

#[tokio::test]
async fn status_is_short_for_people_and_json_for_programs() {
    let proxy = ProxySetup::new().args(SITES).start().await;
    soon(async { while status(&proxy).await["certificates"]["in_memory"] != 2 {} }).await;
    ask(
        proxy.http(),
        "GET / HTTP/1.1\r\nhost: b.localhost\r\nconnection: close\r\n\r\n",
    )
    .await;

    let told = run(&proxy.data(), &["status"]).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let (up, rest) = told.out.split_once('\n').unwrap();
    assert!(
        up.starts_with("up            ") && up.ends_with('s'),
        "{up}"
    );
    let (http, https) = (proxy.http(), proxy.https());
    let expected = format!(
        "\
listening     http {http}
              https {https}
sites         2
connections   0
certificates  2 in memory

refused since the start
  unknown-host  1
"
    );
    assert_eq!(rest, expected);

    let told = run(&proxy.data(), &["status", "--json"]).await;
    let json: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(json["sites"], 2);
    assert_eq!(json["certificates"]["names"], 2);
    assert_eq!(json["refusals"][0]["reason"], "unknown-host");
}

#[tokio::test]
async fn open_connections_are_counted_until_they_are_closed() {
    let proxy = ProxySetup::new().args(SITES).start().await;
    let client = proxy.client();
    let first = client.connect(proxy.https(), "localhost").await.unwrap();
    let second = client.connect(proxy.https(), "localhost").await.unwrap();
    assert_eq!(status(&proxy).await["connections"], 2);
    drop((first, second));
    let emptied = async { while status(&proxy).await["connections"] != 0 {} };
    soon(emptied).await;
}

#[tokio::test]
async fn without_a_running_proxy_status_says_how_to_reach_one() {
    let setup = ProxySetup::new();
    let told = run(&setup.data(), &["status"]).await;
    let expected = format!(
        "no proxy is running with the data directory {}, or it is stopping; start it, or give its admin socket with --admin PATH\n",
        setup.data().display()
    );
    assert_eq!((told.code, told.err), (1, expected));
}
