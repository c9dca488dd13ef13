//! Limits on requests to a CA and to an ask endpoint: budgets, the CA's `Retry-After`, and
//! the limits on new names.

use std::time::SystemTime;

use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::App;
use crate::harness::ca::scripted::{Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::proxy::{Proxy, ProxySetup};

const NAME: &str = "www.example.org";

const YES: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const NO: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";

/// Number of questions that the ask endpoint got.
fn questions(endpoint: &mut Origin) -> usize {
    std::iter::from_fn(|| (!endpoint.is_quiet()).then_some(())).count()
}

async fn start(setup: ProxySetup, ca: &ScriptedCa, endpoint: &Origin) -> Proxy {
    let ask = format!("http://{}/", endpoint.address);
    setup
        .args(["--upstream", "localhost:1", "--on-demand-ask", &ask])
        .args(["--log-level", "debug"])
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_names_from_one_network_reaches_the_ask_endpoint_only_a_few_times() {
    for (answer, orders) in [(NO, 0), (YES, 20)] {
        let setup = ProxySetup::new();
        let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
        let client = Client::new(&ca.issuing_root_pem());
        let mut endpoint = Origin::answering(answer).await;
        let mut proxy = start(setup, &ca, &endpoint).await;

        for n in 0..60 {
            let _ = client
                .serial(proxy.https(), &format!("n{n}.example.org"))
                .await;
        }
        // A name that was answered once is not asked about again.
        let again = client.serial(proxy.https(), "n0.example.org").await;

        assert_eq!(again.is_ok(), orders > 0);
        assert_eq!(questions(&mut endpoint), 20);
        assert_eq!(ca.count(Step::NewOrder), orders);
        let line = proxy.logged("asked for 20 new names").await;
        assert!(line.contains("127.0.0.0/24"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_of_a_ca_holds_for_all_names_and_survives_a_kill() {
    let setup = ProxySetup::new();
    let limited = Reply::problem(429, "rateLimited", "too many new orders from this account")
        .header("retry-after", "3600");
    let script = Script::new().always(Step::NewOrder, Fault::Answer(limited));
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let client = Client::new(&ca.issuing_root_pem());
    let endpoint = Origin::answering(YES).await;
    let proxy = start(setup, &ca, &endpoint).await;
    client.serial(proxy.https(), NAME).await.unwrap_err();

    let other = client.serial(proxy.https(), "www.example.net").await;
    let mut proxy = proxy.kill().await.start().await;
    let third = client.serial(proxy.https(), "www.example.com").await;

    assert!(other.is_err() && third.is_err());
    let line = proxy.logged("accepts no orders for this account").await;
    assert!(line.contains("too many new orders"), "{line}");
    assert_eq!(ca.count(Step::NewOrder), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_one_domain_does_not_delay_others() {
    let setup = ProxySetup::new();
    let limited = Reply::problem(429, "rateLimited", "too many certificates for example.org")
        .header("retry-after", "3600");
    let script = Script::new().fault(Step::NewOrder, 1, Fault::Answer(limited));
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let client = Client::new(&ca.issuing_root_pem());
    let endpoint = Origin::answering(YES).await;
    let proxy = start(setup, &ca, &endpoint).await;
    client.serial(proxy.https(), NAME).await.unwrap_err();

    let sibling = client.serial(proxy.https(), "api.example.org").await;
    let stranger = client.serial(proxy.https(), "www.example.net").await;

    assert!(sibling.is_err());
    stranger.unwrap();
    assert_eq!(ca.count(Step::NewOrder), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budgets_survive_a_killed_process() {
    let setup = ProxySetup::new();
    let script = Script::new().fault(Step::Challenge, 1, Fault::Never);
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let id = format!("127.0.0.1-{}-dir", ca.directory_url().port().unwrap());
    let names = setup.data().join("budgets").join(id).join("names");
    std::fs::create_dir_all(&names).unwrap();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let spent = format!(r#"{{"spent":[{now},{now},{now}]}}"#);
    std::fs::write(names.join("www.example.org.json"), spent).unwrap();
    let app = App::start().await;
    let proxy = setup
        .args(["--upstream", &app.address.to_string(), "--domain", NAME])
        .args(["--log-level", "debug"])
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await;
    ca.reached(Step::Challenge).await;

    let mut proxy = proxy.kill().await.start().await;

    let line = proxy.logged("certificate is not ordered yet").await;
    assert!(
        line.contains("4 failed authorizations in an hour"),
        "{line}"
    );
    assert_eq!(ca.count(Step::NewOrder), 1);
}
