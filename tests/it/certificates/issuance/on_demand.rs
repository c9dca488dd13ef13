//! On-demand certificates: which names get one, and how often the CA is asked.

use futures_util::future::join_all;

use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::App;
use crate::harness::ca::scripted::{Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::proxy::{Proxy, ProxySetup};

async fn world(ask_answers: &'static str) -> (Proxy, ScriptedCa, Client) {
    let app = App::start().await;
    let endpoint = Origin::answering(ask_answers).await;
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
    let client = Client::new(&ca.issuing_root_pem());
    let ask = format!("http://{}/", endpoint.address);
    let proxy = setup
        .args([
            "--upstream",
            &app.address.to_string(),
            "--on-demand-ask",
            &ask,
        ])
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await;
    (proxy, ca, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_first_handshakes_for_one_name_place_one_order() {
    let (proxy, ca, client) = world("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;

    let handshakes = (0..200).map(|_| client.serial(proxy.https(), "new.example.org"));
    let serials = join_all(handshakes)
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .unwrap();

    assert!(serials.iter().all(|serial| *serial == serials[0]));
    assert_eq!(ca.count(Step::NewOrder), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_name_gets_an_alert_and_places_no_order() {
    let (mut proxy, ca, client) =
        world("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;

    let error = client
        .serial(proxy.https(), "new.example.org")
        .await
        .unwrap_err();

    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    let line = proxy.logged("no certificate").await;
    assert!(
        line.contains("new.example.org") && line.contains("status 403"),
        "{line}"
    );
    assert_eq!(ca.count(Step::NewOrder), 0);
    assert_eq!(ca.count(Step::NewAccount), 0);
}
