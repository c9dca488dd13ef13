//! Clients that reset their requests: a flood ends without harm to what runs, and a trusted proxy may reset as many as its clients
//! do.

use h2::Reason;
use http::Request;
use proxy::tasks::Tasks;

use super::client_shares::{assert_neighbour_is_served, setup};
use super::stream_memory::{h2_client, web_socket};
use crate::harness::backends::web_app::App;
use crate::harness::deadline::soon;
use crate::harness::proxy::ProxySetup;

/// Resets that a connection may have at once.
const BURST: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_resets_does_not_cut_running_requests() {
    // Given a request that runs at the app.
    let app = App::start().await;
    let proxy = setup(&app, "").start().await;
    let tasks = Tasks::new();
    let mut sender = h2_client(&proxy, &tasks).await;
    let gate = || Request::get("https://localhost/gate").body(()).unwrap();
    let (running, _) = sender.send_request(gate(), true).unwrap();
    soon(app.gate_reached()).await;

    // When the client resets others until one is refused.
    let mut resets = 0;
    let refused = loop {
        sender = soon(sender.ready()).await.unwrap();
        let (response, mut stream) = sender.send_request(gate(), true).unwrap();
        tokio::select! {
            () = app.gate_reached() => {}
            response = response => break response.unwrap_err(),
        }
        stream.send_reset(Reason::CANCEL);
        resets += 1;
        assert!(resets < 10 * BURST);
    };

    // Then it was refused as one that the client may send again, and the first one is answered.
    assert_eq!(refused.reason(), Some(Reason::REFUSED_STREAM));
    assert!(resets >= BURST, "{resets}");
    app.open_gate();
    let response = soon(running).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_neighbour_is_served(&proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_may_reset_as_many_requests_as_its_clients_do() {
    let app = App::start().await;
    let text = format!(
        "trust = [\"127.0.0.1\"]\n[sites]\n\"localhost\" = \"{}\"\n",
        app.address
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    let tasks = Tasks::new();
    let mut sender = h2_client(&proxy, &tasks).await;
    for _ in 0..2 * BURST {
        sender = soon(sender.ready()).await.unwrap();
        let request = Request::get("https://localhost/gate").body(()).unwrap();
        let (_, mut stream) = sender.send_request(request, true).unwrap();
        soon(app.gate_reached()).await;
        stream.send_reset(Reason::CANCEL);
    }
    sender = soon(sender.ready()).await.unwrap();
    let request = Request::get("https://localhost/").body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    assert_eq!(soon(response).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_that_are_reset_count_too() {
    let app = App::start().await;
    let proxy = setup(&app, "").start().await;
    let tasks = Tasks::new();
    let mut sender = h2_client(&proxy, &tasks).await;
    let request = Request::get("https://localhost/").body(()).unwrap();
    let (first, _) = sender.send_request(request, true).unwrap();
    assert_eq!(soon(first).await.unwrap().status(), 200);
    let mut tunnels = 0;
    loop {
        let Ok(ready) = soon(sender.ready()).await else {
            break;
        };
        sender = ready;
        let Ok((response, mut stream)) = sender.send_request(web_socket(), false) else {
            break;
        };
        if soon(response).await.is_err() {
            break;
        }
        stream.send_reset(Reason::CANCEL);
        tunnels += 1;
        assert!(tunnels < 4 * BURST);
    }
    assert!(tunnels >= BURST, "{tunnels}");
    assert_neighbour_is_served(&proxy).await;
}
