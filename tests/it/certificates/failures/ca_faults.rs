//! A CA that is down, refuses, limits or lies: the log says why, certificates in use stay in use, and
//! the next attempt is scheduled.

use std::time::Duration;

use crate::harness::backends::web_app::App;
use crate::harness::ca::scripted::{CertificateFault, Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::clients::raw::ask;
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};
use crate::harness::stored_files::holds;

pub(super) const NAME: &str = "www.example.org";

pub(super) async fn start(setup: ProxySetup, ca: &ScriptedCa) -> Proxy {
    let app = App::start().await;
    setup
        .args(["--upstream", &app.address.to_string(), "--domain", NAME])
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await
}

/// A proxy whose certificate is due within seconds and whose CA has this fault at each renewal.
async fn keeps_the_old_certificate(wrong: CertificateFault, reason: &str) {
    let setup = ProxySetup::new();
    let script = (2..20).fold(
        Script::new().lifetime(Duration::from_secs(12)),
        |script, n| script.fault(Step::Finalize, n, Fault::Certificate(wrong)),
    );
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let client = Client::new(&ca.issuing_root_pem());
    let mut proxy = start(setup, &ca).await;
    proxy.logged("certificate obtained").await;
    let serial = client.serial(proxy.https(), NAME).await.unwrap();

    let line = proxy.logged("certificate not obtained").await;

    for part in [reason, "attempt=1", "retry_in=", "served_until="] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(client.serial(proxy.https(), NAME).await.unwrap(), serial);
    let orders = ca.count(Step::NewOrder);
    assert_eq!(orders, 2);
    // A restart remembers the failure, does not ask again before it is due, and goes on serving.
    let setup = proxy.kill().await.args(["--log-level", "debug"]);
    let mut proxy = setup.start().await;
    proxy.logged("certificate loaded").await;
    assert_eq!(client.serial(proxy.https(), NAME).await.unwrap(), serial);
    proxy.logged("certificate is not ordered yet").await;
    assert_eq!(ca.count(Step::NewOrder), orders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_served_and_counted_while_the_ca_is_gone() {
    // Given a certificate that is valid for seconds, of a CA that is gone then.
    let setup = ProxySetup::new().args(["--metrics", "127.0.0.1:0"]);
    let script = Script::new().lifetime(Duration::from_secs(8));
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let client = Client::new(&ca.issuing_root_pem());
    let mut proxy = start(setup, &ca).await;
    let line = proxy.logged("serving metrics").await;
    let (_, metrics) = line.trim().split_once("address=").unwrap();
    let metrics = metrics.parse().unwrap();
    proxy.logged("certificate obtained").await;
    drop(ca);
    client.serial(proxy.https(), NAME).await.unwrap();
    // When it has expired, then the metrics say so, and handshakes still get it.
    let page = async || ask(metrics, "GET /metrics HTTP/1.1\r\nhost: metrics\r\n\r\n").await;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    soon(async {
        while !page().await.contains("\nproxy_expired_certificates 1\n") {
            ticks.tick().await;
        }
    })
    .await;
    // The last second of the validity counts for the client.
    let refused = soon(async {
        loop {
            match client.serial(proxy.https(), NAME).await {
                Ok(_) => ticks.tick().await,
                Err(refused) => return refused,
            };
        }
    });
    let refused = refused.await;
    assert!(refused.to_string().contains("expired"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_key_is_not_used() {
    keeps_the_old_certificate(CertificateFault::Key, "does not belong to its certificate").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_other_names_is_not_used() {
    keeps_the_old_certificate(CertificateFault::Names, "it is not for www.example.org").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_certificate_is_not_used() {
    keeps_the_old_certificate(CertificateFault::Garbage, "certificate").await;
}

/// A proxy whose CA has this fault at the first order, and what its log says of the certificate.
async fn serves_all_the_same(odd: CertificateFault, said: &str) -> Proxy {
    let setup = ProxySetup::new();
    let script = Script::new().fault(Step::Finalize, 1, Fault::Certificate(odd));
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let mut proxy = start(setup, &ca).await;
    let line = proxy.logged(said).await;
    assert!(line.contains("names=www.example.org"), "{line}");
    proxy.logged("certificate obtained").await;
    assert_eq!(ca.count(Step::NewOrder), 1);
    if odd == CertificateFault::Untidy {
        // Given a client that completes no chain and knows the root only.
        let client = Client::new(&ca.issuing_root_pem());
        client.serial(proxy.https(), NAME).await.unwrap();
    }
    proxy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_in_disorder_is_stored_and_served_in_order() {
    let said = "the certificate of CN=a stranger does not belong to the chain and is left out";
    let proxy = serves_all_the_same(CertificateFault::Untidy, said).await;
    assert!(
        proxy.log().contains("is repeated and is left out"),
        "{}",
        proxy.log()
    );
    let issuers = std::fs::read_dir(proxy.data().join("certificates")).unwrap();
    let records = issuers.map(|issuer| issuer.unwrap().path().join(NAME).join("certificate.pem"));
    let record = records
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .next();
    let record = record.unwrap();
    assert!(
        record.starts_with("-----BEGIN CERTIFICATE-----"),
        "{record}"
    );
    assert_eq!(record.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(record.matches("PRIVATE KEY").count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_whose_own_certificate_is_given_is_believed_and_another_is_shown_by_its_fingerprint() {
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
    let app = App::start().await;
    let site = ["--upstream", &app.address.to_string(), "--domain", NAME];
    let setup = setup.args(site);
    let other = ScriptedCa::start(Script::new(), 1).await;
    let mut proxy = setup
        .ca(&ca.directory_url(), &other.api_certificate())
        .start()
        .await;
    let line = proxy.logged("certificate not obtained").await;
    assert!(
        line.contains("or this very certificate if its SHA-256 is "),
        "{line}"
    );

    let setup = proxy.kill().await;
    std::fs::remove_dir_all(setup.data().join("attempts")).unwrap();
    setup.file("ca.pem", &ca.api_certificate());
    let mut proxy = setup.start().await;
    proxy.logged("certificate obtained").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaf_without_its_chain_is_served_with_a_warning() {
    for odd in [CertificateFault::Alone, CertificateFault::DamagedChain] {
        let proxy = serves_all_the_same(odd, "its chain is incomplete: the certificate of").await;
        let log = proxy.log();
        let line = log
            .lines()
            .find(|line| line.contains("its chain is incomplete"));
        assert!(line.unwrap().contains("WARN"), "{log}");
        let is_told = log.contains("damaged certificates left out of a chain");
        assert_eq!(is_told, odd == CertificateFault::DamagedChain, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_in_a_certificate_of_the_ca_cannot_pass_for_a_line_of_the_log() {
    let said =
        "the certificate of CN=x\\n2026-01-01T00:00:00Z ERROR all is lost\\u{1b}[31m does not";
    let proxy = serves_all_the_same(CertificateFault::Hostile, said).await;
    let log = proxy.log();
    assert!(
        !log.lines().any(|line| line.starts_with("2026-01-01")),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_whose_validity_has_not_begun_is_kept() {
    serves_all_the_same(CertificateFault::Early, "served before its validity begins").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_is_obeyed_and_logged() {
    let setup = ProxySetup::new();
    let limited = Reply::problem(429, "rateLimited", "too many new orders recently")
        .header("retry-after", "86400");
    let script = Script::new().always(Step::NewOrder, Fault::Answer(limited));
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let mut proxy = start(setup, &ca).await;

    let line = proxy.logged("certificate not obtained").await;

    assert!(line.contains("too many new orders recently"), "{line}");
    assert!(line.contains("retry_in=1day"), "{line}");
    let client = Client::new(&ca.issuing_root_pem());
    let error = client.serial(proxy.https(), NAME).await.unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    let line = proxy.logged("no certificate").await;
    assert!(line.contains("next attempt at"), "{line}");
    assert_eq!(ca.count(Step::NewOrder), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_only_an_operator_can_fix_is_logged_as_such_and_rarely_retried() {
    let setup = ProxySetup::new();
    let refused = Reply::problem(400, "rejectedIdentifier", "this name is not for you");
    let script = Script::new().always(Step::NewOrder, Fault::Answer(refused));
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let mut proxy = start(setup, &ca).await;

    let line = proxy.logged("certificate not obtained").await;

    assert!(line.contains("permanent=true"), "{line}");
    assert!(line.contains("retry_in=1h"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_that_hangs_does_not_delay_local_names() {
    let setup = ProxySetup::new();
    let script = Script::new().always(Step::NewOrder, Fault::Never);
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let names = (0..8).flat_map(|n| ["--domain".to_owned(), format!("n{n}.example.org")]);
    let proxy = setup
        .args(["--upstream", "localhost:1", "--domain", "*.localhost"])
        .args(names)
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await;
    soon(async {
        while ca.count(Step::NewOrder) < 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let client = proxy.client();

    soon(client.serial(proxy.https(), "a.localhost"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_an_order_leaves_nothing_broken() {
    for step in [
        Step::NewAccount,
        Step::NewOrder,
        Step::Challenge,
        Step::Finalize,
        Step::Certificate,
    ] {
        let setup = ProxySetup::new();
        let script = Script::new().fault(step, 1, Fault::Never);
        let ca = ScriptedCa::start(script, setup.http().port()).await;
        let client = Client::new(&ca.issuing_root_pem());
        let proxy = start(setup, &ca).await;
        ca.reached(step).await;

        let mut proxy = proxy.kill().await.start().await;

        proxy.logged("certificate obtained").await;
        client.serial(proxy.https(), NAME).await.unwrap();
        assert!(
            !proxy.log().contains("damaged"),
            "{step:?}: {}",
            proxy.log()
        );
        assert!(!holds(&proxy.data().join("tmp"), ""), "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_root_of_the_internal_ca_stops_only_the_names_that_need_it() {
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
    let folder = setup.data().join("internal-ca");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("root.key"), "garbage").unwrap();
    std::fs::write(folder.join("root.pem"), "garbage").unwrap();

    let mut proxy = start(setup, &ca).await;

    proxy.logged("certificate obtained").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_certificate_is_told_once_without_its_bytes_and_replaced() {
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
    let mut proxy = start(setup, &ca).await;
    proxy.logged("certificate obtained").await;
    let setup = proxy.stop().await;
    let records = setup.data().join("certificates");
    let issuer = std::fs::read_dir(&records)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let record = issuer.path().join(NAME).join("certificate.pem");
    std::fs::write(&record, "-----BEGIN CERTIFICATE-----\ngarbage\n").unwrap();

    let mut proxy = setup.start().await;

    proxy.logged("certificate obtained").await;
    let log = proxy.log();
    let told = log.lines().filter(|line| line.contains("is damaged"));
    assert_eq!(told.count(), 1, "{log}");
    assert!(log.contains(&record.display().to_string()), "{log}");
    assert!(!log.contains("garbage"), "{log}");
    assert_eq!(ca.count(Step::NewOrder), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_ca_is_asked_if_storage_cannot_be_written() {
    let setup = ProxySetup::new();
    let ca = ScriptedCa::start(Script::new(), setup.http().port()).await;
    // A file stands where the folder of the write test should be.
    std::fs::create_dir(setup.data()).unwrap();
    std::fs::write(setup.data().join("probe"), "").unwrap();

    let mut proxy = start(setup, &ca).await;

    let line = proxy.logged("nothing can be stored").await;
    assert!(line.contains("/probe/"), "{line}");
    let client = Client::new(&ca.issuing_root_pem());
    assert!(client.serial(proxy.https(), NAME).await.is_err());
    let requests = Step::ALL.iter().map(|step| ca.count(*step));
    assert_eq!(requests.sum::<usize>(), 0);
}
