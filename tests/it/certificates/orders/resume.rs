//! A process that is killed during an order: the next process ends with one valid certificate and orders
//! no second one without need.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::ca::scripted::{Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::deadline::soon;
use crate::harness::dns::bind::{Bind, KEY, KEY_NAME};
use crate::harness::dns::cloudflare::{CloudflareApi, TOKEN};
use crate::harness::dns::server::DnsServer;
use crate::harness::ports::ProxyPorts;
use crate::harness::proxy::{Proxy, ProxySetup};
use crate::harness::stored_text::holds;

const NAME: &str = "www.example.org";

/// A scripted CA and the setup of a proxy that uses it.
async fn scene(script: Script) -> (ScriptedCa, ProxySetup) {
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let setup = setup
        .args(["--upstream", "localhost:1", "--domain", NAME])
        .args(["--log-level", "debug"])
        .ca(&ca.directory_url(), &ca.root_pem());
    (ca, setup)
}

/// Kills the proxy once the CA has got a request of this step.
async fn killed_at(step: Step, ca: &ScriptedCa, setup: ProxySetup) -> ProxySetup {
    let proxy = setup.start().await;
    ca.reached(step).await;
    proxy.kill().await
}

/// Waits until the proxy serves a certificate of the CA, and checks that nothing is left behind.
async fn ends_well(proxy: &mut Proxy, ca: &ScriptedCa, case: &str) {
    proxy.logged("certificate obtained").await;
    let client = Client::new(&ca.issuing_root_pem());
    client.serial(proxy.https(), NAME).await.unwrap();
    let orders = proxy.data().join("orders");
    assert!(!holds(&orders, ""), "{case}: a record is left");
}

/// Path of the only file below a folder.
fn only_file(folder: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let path = entries.next().unwrap().path();
    assert!(entries.next().is_none());
    match path.is_dir() {
        true => only_file(&path),
        false => path,
    }
}

/// Kills the proxy before or after the CA has carried out a request; returns the CA.
async fn survive(step: Step, fault: Fault) -> ScriptedCa {
    let case = format!("{step:?} {fault:?}");
    let (ca, setup) = scene(Script::new().fault(step, 1, fault)).await;
    let mut proxy = killed_at(step, &ca, setup).await.start().await;
    ends_well(&mut proxy, &ca, &case).await;
    assert_eq!(ca.certificates(), 1, "{case}");
    ca
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_finalized_is_waited_for_and_not_placed_again() {
    for (step, fault, finalized) in [
        (Step::Finalize, Fault::Never, 2),
        (Step::Finalize, Fault::NeverAfter, 1),
        (Step::Order, Fault::Never, 1),
        (Step::Order, Fault::NeverAfter, 1),
        (Step::Certificate, Fault::Never, 1),
        (Step::Certificate, Fault::NeverAfter, 1),
    ] {
        let ca = survive(step, fault.clone()).await;
        assert_eq!(ca.count(Step::NewOrder), 1, "{step:?} {fault:?}");
        assert_eq!(ca.count(Step::Finalize), finalized, "{step:?} {fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_not_ready_is_replaced_by_a_new_one() {
    for (step, fault) in [
        (Step::NewAccount, Fault::NeverAfter),
        (Step::NewOrder, Fault::Never),
        (Step::NewOrder, Fault::NeverAfter),
        (Step::Authorization, Fault::Never),
        (Step::Challenge, Fault::Never),
        (Step::Challenge, Fault::NeverAfter),
    ] {
        let ca = survive(step, fault.clone()).await;
        // An order whose URL never arrived is lost.
        let unknown = matches!((step, &fault), (Step::NewOrder, Fault::NeverAfter));
        let pending = ca.pending_authorizations();
        assert_eq!(pending, usize::from(unknown), "{step:?} {fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_that_was_valid_before_the_kill_is_used() {
    // The CA does not validate, so the order is ready although the process that placed it is gone.
    let script = Script::new().without_validation();
    let (ca, setup) = scene(script.fault(Step::Challenge, 1, Fault::NeverAfter)).await;
    let mut proxy = killed_at(Step::Challenge, &ca, setup).await.start().await;
    ends_well(&mut proxy, &ca, "a met challenge").await;
    assert_eq!(ca.count(Step::NewOrder), 1);
    assert_eq!(ca.count(Step::Challenge), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_pending_order_is_private() {
    let (ca, setup) = scene(Script::new().fault(Step::Finalize, 1, Fault::Never)).await;
    let setup = killed_at(Step::Finalize, &ca, setup).await;
    let record = only_file(&setup.data().join("orders"));
    let mode = record.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(record).unwrap();
    for part in [NAME, "/order/0", "BEGIN PRIVATE KEY"] {
        assert!(text.contains(part), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_the_ca_no_longer_has_is_placed_again() {
    let gone = Reply::new(404, "");
    let script = Script::new().fault(Step::Finalize, 1, Fault::Never).fault(
        Step::Order,
        1,
        Fault::Answer(gone),
    );
    let (ca, setup) = scene(script).await;
    let mut proxy = killed_at(Step::Finalize, &ca, setup).await.start().await;
    ends_well(&mut proxy, &ca, "an order that is gone").await;
    assert_eq!(ca.count(Step::NewOrder), 2);
    assert_eq!(ca.certificates(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_survives_errors_of_its_ca() {
    let unwell = Reply::problem(503, "serverInternal", "back soon").header("retry-after", "3600");
    let script = (1..50).fold(
        Script::new().fault(Step::Finalize, 1, Fault::NeverAfter),
        |script, n| script.fault(Step::Order, n, Fault::Answer(unwell.clone())),
    );
    let (ca, setup) = scene(script).await;
    let mut proxy = killed_at(Step::Finalize, &ca, setup).await.start().await;
    let line = proxy.logged("certificate not obtained").await;
    assert!(line.contains("back soon"), "{line}");
    assert!(holds(&proxy.data().join("orders"), "/order/0"));
    assert_eq!(ca.count(Step::NewOrder), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_record_that_outlived_its_stored_certificate_is_not_resumed() {
    let lifetime = Duration::from_secs(12);
    let script = Script::new().lifetime(lifetime);
    let (ca, setup) = scene(script.fault(Step::Certificate, 1, Fault::Never)).await;
    let setup = killed_at(Step::Certificate, &ca, setup).await;
    let record = only_file(&setup.data().join("orders"));
    let text = std::fs::read(&record).unwrap();
    let mut proxy = setup.start().await;
    ends_well(&mut proxy, &ca, "the first").await;
    let client = Client::new(&ca.issuing_root_pem());
    let first = client.serial(proxy.https(), NAME).await.unwrap();
    let setup = proxy.kill().await;
    // The folder is removed with its last record.
    std::fs::create_dir_all(record.parent().unwrap()).unwrap();
    std::fs::write(record, text).unwrap();

    let mut proxy = setup.start().await;

    ends_well(&mut proxy, &ca, "its successor").await;
    let second = client.serial(proxy.https(), NAME).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(ca.certificates(), 2);
    assert!(
        !proxy.log().contains("due for renewal already"),
        "{}",
        proxy.log()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_at_a_real_ca_is_resumed() {
    for moment in ["order placed", "order is ready"] {
        let ports = ProxyPorts::reserve();
        let options = PebbleOptions {
            tls_port: ports.https().port(),
            ..PebbleOptions::new(ports.http().port())
        };
        let pebble = Pebble::start(options).await;
        let mut proxy = ProxySetup::on(ports)
            .args(["--upstream", "localhost:1", "--domain", NAME])
            .args(["--log-level", "debug"])
            .ca(&pebble.directory_url(), &pebble.root_pem())
            .start()
            .await;
        proxy.logged(moment).await;

        let mut proxy = proxy.kill().await.start().await;

        // The first process may have stored its certificate already.
        proxy.logged("serial=").await;
        let client = Client::new(&pebble.issuance_root().await);
        client.serial(proxy.https(), NAME).await.unwrap();
        let orders = proxy.log().matches("order placed").count();
        let expected = usize::from(moment == "order placed");
        assert!(orders <= expected, "{moment}: {}", proxy.log());
    }
}

/// Name whose records every zone here allows to be set.
const CHALLENGE: &str = "_acme-challenge.home.example.org";

/// A scripted CA that accepts dns-01 unvalidated, and a proxy with a wildcard site, this DNS provider and this DNS server.
async fn dns_scene(
    script: Script,
    setup: ProxySetup,
    (dns, shown): (&str, SocketAddr),
) -> (ScriptedCa, ProxySetup) {
    let script = script
        .without_validation()
        .dns01(&Arc::new(DnsServer::start()));
    let ca = ScriptedCa::start(script, 1).await;
    let file = format!(
        "resolvers = [\"{shown}\"]\n[sites.\"*.home.example.org\"]\nupstream = \"localhost:1\"\n\
         dns = {{ {dns}, name-servers = [\"{shown}\"] }}\n"
    );
    let setup = setup.proxyfile(&file).args(["--log-level", "debug"]);
    let setup = setup.ca(&ca.directory_url(), &ca.root_pem());
    (ca, setup)
}

/// Kills the proxy when its challenge is accepted and its record is set; returns its setup.
async fn killed_with_a_record(
    setup: ProxySetup,
    dns: (&str, SocketAddr),
) -> (ScriptedCa, ProxySetup) {
    let script = Script::new().fault(Step::Challenge, 1, Fault::NeverAfter);
    let (ca, setup) = dns_scene(script, setup, dns).await;
    let setup = killed_at(Step::Challenge, &ca, setup).await;
    (ca, setup)
}

/// The next process removes the record, and gets the one certificate.
async fn removes_it(ca: &ScriptedCa, setup: ProxySetup) {
    let mut proxy = setup.start().await;
    proxy.logged("leftover TXT record removed").await;
    proxy.logged("certificate obtained").await;
    assert_eq!(ca.count(Step::NewOrder), 1);
    assert_eq!(ca.certificates(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_of_a_killed_process_is_removed_at_cloudflare_by_the_next() {
    let zone = Arc::new(DnsServer::start());
    let api = CloudflareApi::start(Arc::clone(&zone), "example.org", CHALLENGE).await;
    let setup = ProxySetup::new();
    setup.file("token", &format!("{TOKEN}\n"));
    let dns = format!(
        "cloudflare = {{ token = \"file:token\", url = \"{}\" }}",
        api.url()
    );
    let (ca, setup) = killed_with_a_record(setup, (&dns, zone.address())).await;
    assert_eq!(api.values().len(), 2);

    removes_it(&ca, setup).await;

    assert_eq!(api.values(), ["of another"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_of_a_killed_process_is_removed_by_an_update_of_the_next() {
    let bind = Bind::start().await;
    let setup = ProxySetup::new();
    setup.file("key", KEY);
    let dns = format!(
        "rfc2136 = {{ server = \"{}\", key-name = \"{KEY_NAME}\", key = \"file:key\", \
         algorithm = \"hmac-sha512\" }}",
        bind.address()
    );
    let (ca, setup) = killed_with_a_record(setup, (&dns, bind.address())).await;
    assert_eq!(bind.texts(CHALLENGE).await.len(), 2);

    removes_it(&ca, setup).await;

    assert_eq!(bind.texts(CHALLENGE).await, ["of another"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_is_called_to_clean_up_after_a_killed_process() {
    let zone = DnsServer::start();
    let told = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let setup = ProxySetup::new();
    let script = format!(
        "#!/bin/sh\necho \"$*\" >>\"$0.calls\"\n[ \"$1\" = cleanup ] || exec curl -sS http://{}\n",
        told.local_addr().unwrap()
    );
    let hook = setup.file("hook", &script);
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o700)).unwrap();
    let dns = format!("exec = \"{}\"", hook.display());
    let (_ca, setup) = dns_scene(Script::new(), setup, (&dns, zone.address())).await;
    let proxy = setup.start().await;
    let _under_way = soon(told.accept()).await.unwrap();

    let mut proxy = proxy.kill().await.start().await;

    proxy.logged("leftover TXT record removed").await;
    let calls = std::fs::read_to_string(format!("{}.calls", hook.display())).unwrap();
    let mut calls = calls.lines();
    let set = calls.next().unwrap().strip_prefix("present ").unwrap();
    assert!(set.starts_with(&format!("{CHALLENGE} ")), "{set}");
    assert_eq!(calls.next(), Some(format!("cleanup {set}").as_str()));
}
