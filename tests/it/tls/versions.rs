//! The minimum version of TLS: for all sites, for one site, and for requests that cross from one to another.

use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;

use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::https::{Client, read};
use crate::harness::proxy::{Proxy, ProxySetup};

/// A proxy with a default site for all clients and one for TLS 1.3 only.
async fn start() -> (Proxy, App) {
    let app = App::start().await;
    let address = app.address;
    let text = format!(
        "[sites]\n\"open.localhost\" = {{ upstream = \"{address}\", default = true }}\n\
         \"strict.localhost\" = {{ upstream = \"{address}\", min-tls = \"1.3\", aliases = [\"*.strict.localhost\"] }}\n"
    );
    (ProxySetup::new().proxyfile(&text).start().await, app)
}

async fn status(sender: &mut SendRequest<Full<bytes::Bytes>>, host: &str) -> StatusCode {
    sender.ready().await.unwrap();
    let request = Request::get("/").header("host", host);
    let request = request.body(Full::default()).unwrap();
    read(sender.send_request(request).await.unwrap())
        .await
        .status
}

/// Returns the error with which the client gets no connection.
async fn refusal(client: &Client, proxy: &Proxy, name: &str) -> String {
    let outcome = client.connect(proxy.https(), name).await;
    outcome.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_with_minimum_tls_1_3_refuses_older_clients_and_others_do_not() {
    let (proxy, _app) = start().await;
    let (https, old) = (proxy.https(), proxy.tls12_client());
    for name in ["strict.localhost", "a.strict.localhost"] {
        let error = refusal(&old, &proxy, name).await;
        assert!(error.contains("ProtocolVersion"), "{name}: {error}");
        assert_eq!(proxy.client().get2(https, name, "/").await.body, "hello");
    }
    let answer = old.get2(https, "open.localhost", "/").await;
    assert_eq!(answer.body, "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_global_minimum_holds_unless_a_site_sets_its_own() {
    let text = "min-tls = \"1.3\"\n[sites]\n\"new.localhost\" = \"localhost:1\"\n\
                \"old.localhost\" = { upstream = \"localhost:1\", min-tls = \"1.2\" }\n";
    let proxy = ProxySetup::new().proxyfile(text).start().await;
    let old = proxy.tls12_client();
    let error = refusal(&old, &proxy, "new.localhost").await;
    assert!(error.contains("ProtocolVersion"), "{error}");
    old.serial(proxy.https(), "old.localhost").await.unwrap();
    // A client without SNI is told that there is no site for it, whatever version it speaks.
    let error = refusal(&old.without_sni(), &proxy, "new.localhost").await;
    assert!(error.contains("UnrecognisedName"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_an_old_version_cannot_reach_a_stricter_site() {
    let (proxy, _app) = start().await;
    // Without SNI the client reaches the default site, which accepts both versions.
    for (client, expected) in [(proxy.tls12_client(), 421), (proxy.client(), 200)] {
        let unnamed = client.without_sni();
        let mut sender = unnamed.http1(proxy.https(), "open.localhost").await;
        assert_eq!(status(&mut sender, "open.localhost").await, 200);
        assert_eq!(status(&mut sender, "strict.localhost").await, expected);
    }
    let old = proxy.tls12_client();
    let mut sender = old.http1(proxy.https(), "open.localhost").await;
    assert_eq!(status(&mut sender, "strict.localhost").await, 421);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minimum_version_and_a_client_certificate_can_be_combined() {
    let ca = TestCa::root("clients");
    let setup = ProxySetup::new();
    setup.file("clients.pem", &ca.pem());
    let text = "[sites]\n\"localhost\" = { upstream = \"localhost:1\", min-tls = \"1.3\", client-auth = { ca = \"clients.pem\", mode = \"optional\" } }\n";
    let proxy = setup.proxyfile(text).start().await;
    let error = refusal(&proxy.tls12_client(), &proxy, "localhost").await;
    assert!(error.contains("ProtocolVersion"), "{error}");
    let (certificate, key) = ca.client("alice");
    for client in [
        proxy.client(),
        proxy.client().identified(&certificate, &key),
    ] {
        assert_eq!(
            client.get(proxy.https(), "localhost", "/").await.status,
            502
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_the_minimum_for_new_connections_and_excludes_old_ones() {
    let app = App::start().await;
    let text = |version: &str| {
        format!(
            "min-tls = \"{version}\"\n[sites]\n\"localhost\" = \"{}\"\n",
            app.address
        )
    };
    let mut proxy = ProxySetup::new().proxyfile(&text("1.2")).start().await;
    let (https, old) = (proxy.https(), proxy.tls12_client());
    let mut before = old.http1(https, "localhost").await;
    let mut newer = proxy.client().http1(https, "localhost").await;
    assert_eq!(status(&mut before, "localhost").await, 200);

    proxy.reload(&text("1.3")).await;

    assert_eq!(status(&mut before, "localhost").await, 421);
    assert_eq!(status(&mut newer, "localhost").await, 200);
    let error = refusal(&old, &proxy, "localhost").await;
    assert!(error.contains("ProtocolVersion"), "{error}");

    proxy.reload(&text("1.2")).await;

    assert_eq!(status(&mut before, "localhost").await, 200);
    assert_eq!(old.get(https, "localhost", "/").await.body, "hello");
}
