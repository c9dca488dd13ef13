//! Two processes on one data directory, of which the CA reaches the one that has not ordered.

use crate::harness::backends::web_app::App;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::ca::scripted::{Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::deadline::soon;
use crate::harness::ports::ProxyPorts;
use crate::harness::proxy::{Proxy, ProxySetup};

const NAME: &str = "www.example.org";

fn site(app: &App, challenge: &str) -> String {
    format!(
        "[[issuers]]\ndirectory = \"DIRECTORY\"\nroot = \"ca.pem\"\nchallenges = [\"{challenge}\"]\n[sites]\n\"{NAME}\" = \"{}\"\n",
        app.address
    )
}

/// A process with the data directory of another one, which has no site of its own but localhost.
async fn bystander(of: &ProxySetup, ports: ProxyPorts) -> Proxy {
    let storage = format!("file:{}", of.data().display());
    let setup = ProxySetup::on(ports).sharing(&storage);
    let admin = setup.file("unused", "").with_extension("sock");
    let setup = setup.args(["--upstream", "localhost:1", "--domain", "localhost"]);
    setup
        .args(["--admin", &admin.display().to_string()])
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_process_answers_http01_and_tls_alpn01() {
    for challenge in ["http-01", "tls-alpn-01"] {
        // Given a CA that reaches only the process without an order.
        let app = App::start().await;
        let ports = ProxyPorts::reserve();
        let pebble = Pebble::start(PebbleOptions {
            tls_port: ports.https().port(),
            ..PebbleOptions::new(ports.http().port())
        })
        .await;
        let setup = ProxySetup::new();
        setup.file("ca.pem", &pebble.root_pem());
        let _bystander = bystander(&setup, ports).await;
        // When the other one orders.
        let text = site(&app, challenge).replace("DIRECTORY", pebble.directory_url().as_str());
        let mut proxy = setup.proxyfile(&text).start().await;
        proxy
            .logged(&format!("certificate obtained names={NAME}"))
            .await;
        // Then the first order succeeds, and nothing is left in storage.
        let client = Client::new(&pebble.issuance_root().await);
        assert_eq!(client.get(proxy.https(), NAME, "/").await.body, "hello");
        assert!(!proxy.log().contains("WARN"), "{}", proxy.log());
        let left = proxy.data().join("challenges").join(challenge);
        soon(async {
            while std::fs::read_dir(&left).is_ok_and(|entries| entries.count() > 0) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_with_the_same_site_place_one_order_whichever_the_ca_reaches() {
    // Given a CA that reaches one of two processes.
    let app = App::start().await;
    let ports = ProxyPorts::reserve();
    let ca = ScriptedCa::start(Script::new(), ports.http().port()).await;
    let one = ProxySetup::new();
    let storage = format!("file:{}", one.data().display());
    let other = ProxySetup::on(ports).sharing(&storage);
    let with_site = |setup: ProxySetup| {
        setup.file("ca.pem", &ca.root_pem());
        let text = site(&app, "http-01").replace("DIRECTORY", ca.directory_url().as_str());
        setup.proxyfile(&text)
    };
    let other = with_site(other);
    let admin = other.file("unused", "").with_extension("sock");
    let other = other.args(["--admin", &admin.display().to_string()]);
    // When both want the certificate.
    let (one, other) = tokio::join!(with_site(one).start(), other.start());
    // Then both serve that of one order.
    let client = Client::new(&ca.issuing_root_pem());
    let serial = soon(client.serial(one.https(), NAME)).await.unwrap();
    assert_eq!(
        soon(client.serial(other.https(), NAME)).await.unwrap(),
        serial
    );
    assert_eq!((ca.count(Step::NewOrder), ca.certificates()), (1, 1));
}
