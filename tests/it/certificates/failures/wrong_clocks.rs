//! A machine whose clock is wrong: one sentence says so, and certificates are served all the same.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::ca_faults::{NAME, start};
use crate::harness::admin::run;
use crate::harness::backends::web_app::App;
use crate::harness::ca::pki::TestCa;
use crate::harness::ca::scripted::{Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::clients::raw::ask;
use crate::harness::proxy::{Proxy, ProxySetup};
use crate::harness::wrong_clock::WrongClock;

const WRONG: &str = "this machine's clock is wrong";
const EXPIRED: &str = "expired certificates are served";

/// Days by which a certificate of 90 days has expired for long.
const AHEAD: i64 = 400;

/// A CA whose own HTTPS certificate is valid at the wrong time too.
async fn ca(setup: &ProxySetup) -> ScriptedCa {
    let api = TestCa::root("root of the scripted API").changed_loopback_server(|params| {
        params.not_after = (SystemTime::now() + Duration::from_secs(4000 * 24 * 3600)).into();
    });
    ScriptedCa::start_as(Script::new(), setup.http().port(), api).await
}

async fn metrics(proxy: &mut Proxy) -> SocketAddr {
    let line = proxy.logged("serving metrics").await;
    let (_, address) = line.trim().split_once("address=").unwrap();
    address.parse().unwrap()
}

/// Waits until the log says that expired certificates are served. Then the state and the metrics say so too.
async fn is_told_as_expired(proxy: &mut Proxy, metrics: SocketAddr) {
    let line = proxy.logged(EXPIRED).await;
    assert!(line.contains("ERROR"), "{line}");
    assert!(line.contains("number=1 ") && line.contains(NAME), "{line}");
    let page = ask(metrics, "GET /metrics HTTP/1.1\r\nhost: metrics\r\n\r\n").await;
    assert!(page.contains("\nproxy_expired_certificates 1\n"), "{page}");
    let told = run(&proxy.data(), &["status"]).await;
    assert!(told.out.contains("1 of them expired"), "{}", told.out);
}

/// Returns the lines of the whole log with this part.
fn lines(log: &str, part: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| line.contains(part));
    lines.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_before_the_build_is_one_sentence() {
    let Some(clock) = WrongClock::ahead(-3650).await else {
        return;
    };
    let app = App::start().await;
    let setup = ProxySetup::new().local(&app).clock(&clock);
    let mut proxy = setup.start().await;
    let line = proxy.logged(WRONG).await;
    assert!(line.contains("ERROR"), "{line}");
    assert!(
        line.contains(", but this program was built at ")
            && line.contains("; set it, for example by NTP"),
        "{line}"
    );
    assert!(line.len() < 300, "{line}");

    proxy.signal(rustix::process::Signal::TERM);
    proxy.ended().await;
    assert_eq!(lines(&proxy.log(), WRONG), [line]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_that_only_a_fast_clock_calls_expired_is_served() {
    let Some(clock) = WrongClock::ahead(AHEAD).await else {
        return;
    };
    let setup = ProxySetup::new()
        .args(["--metrics", "127.0.0.1:0"])
        .clock(&clock);
    let ca = ca(&setup).await;
    let mut proxy = start(setup, &ca).await;
    let metrics = metrics(&mut proxy).await;
    proxy.logged("certificate obtained").await;

    // For a client with the right time, it is valid.
    let client = Client::new(&ca.issuing_root_pem());
    client.serial(proxy.https(), NAME).await.unwrap();
    is_told_as_expired(&mut proxy, metrics).await;
    client.serial(proxy.https(), NAME).await.unwrap();

    proxy.signal(rustix::process::Signal::TERM);
    proxy.ended().await;
    let log = proxy.log();
    let [wrong] = lines(&log, WRONG).try_into().unwrap();
    assert!(wrong.contains("ERROR"), "{wrong}");
    assert!(
        wrong.contains(" ahead of the CA's clock; set it"),
        "{wrong}"
    );
    assert!(wrong.contains("1year 1month"), "{wrong}");
    assert_eq!(lines(&log, EXPIRED).len(), 1, "{log}");
    assert_eq!(ca.count(Step::NewOrder), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_certificate_that_has_expired_is_served_and_told_until_a_new_one_can_be_had() {
    let Some(clock) = WrongClock::ahead(AHEAD).await else {
        return;
    };
    // Given a stored certificate, a clock at which it has expired, and no CA.
    let setup = ProxySetup::new().args(["--metrics", "127.0.0.1:0"]);
    let ca = ca(&setup).await;
    let client = Client::new(&ca.issuing_root_pem());
    let mut proxy = start(setup, &ca).await;
    proxy.logged("certificate obtained").await;
    let serial = client.serial(proxy.https(), NAME).await.unwrap();
    drop(ca);
    let mut proxy = proxy.stop().await.clock(&clock).start().await;
    let metrics = metrics(&mut proxy).await;

    is_told_as_expired(&mut proxy, metrics).await;

    assert_eq!(client.serial(proxy.https(), NAME).await.unwrap(), serial);
    proxy.logged("certificate not obtained").await;
    proxy.signal(rustix::process::Signal::TERM);
    proxy.ended().await;
    assert_eq!(lines(&proxy.log(), EXPIRED).len(), 1, "{}", proxy.log());
}
