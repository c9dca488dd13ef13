//! The checks of `proxy doctor`, with each cause injected.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use proxy::admin::CheckStatus::{Fail, Ok, Warn};
use proxy::name::HostPattern;
use proxy::traces::TraceOptions;
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::scene::{HERE, NAME, Scene, THERE, assert_check, check};
use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::backends::web_app::App;
use crate::harness::ca::scripted::{Fault, Reply, Script, Step};
use crate::harness::deadline::soon;
use crate::harness::traces::collector::TAKEN;

const STRANGER: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_proxy_finds_nothing_wrong_where_nothing_is() {
    // Given a name that points here, its certificate, and an app.
    let mut scene = Scene::new().await;
    let app = scene.start().await;
    let report = check(&app, &[]).await;
    // Then each check says so, those about the machine first.
    for (name, part) in [
        ("storage", "can be written"),
        ("disk space", "are free"),
        ("ports", "the running proxy accepts https on"),
        ("open files", "connections"),
        ("ca", "answers at https://"),
        ("clock", "agrees"),
        ("dns", "A points to 127.0.0.1"),
        ("port 80", "own token"),
        ("port 443", "own certificate"),
        ("http3", "is answered"),
        ("caa", "allow the CA"),
        ("certificate", "served until"),
        ("handshake", "the stored certificate at 127.0.0.1"),
        ("backend", "answers with status 200"),
    ] {
        assert_check(&report, name, Ok, part);
    }
    assert_eq!(report.worst(), Ok, "{:#?}", report.checks);
    assert_eq!(report.checks[0].check, "storage");
    assert_eq!(report.checks.last().unwrap().name.as_deref(), Some(NAME));
    app.stop(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_running_proxy_the_command_answers_its_own_challenges_and_leaves_nothing() {
    let mut scene = Scene::new().await;
    let report = scene.alone().await;
    for (name, part) in [
        ("storage", "the first start creates it"),
        ("ports", "is free"),
        ("port 80", "own token"),
        ("port 443", "own certificate"),
        ("certificate", "no certificate has been requested yet"),
    ] {
        assert_check(&report, name, Ok, part);
    }
    assert_eq!(report.worst(), Ok, "{:#?}", report.checks);
    assert!(!scene.config.storage.directory().exists());
    // The ports are free again.
    std::net::TcpListener::bind(scene.http()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_of_another_machine_is_told_with_the_fix() {
    let mut scene = Scene::new().await;
    let app = scene.start().await;
    scene.dns.forget(NAME).a(NAME, THERE);
    let port = scene.http().port();
    let _stranger = Origin::answering_on((THERE, port).into(), STRANGER).await;
    let report = check(&app, &[]).await;
    assert_check(
        &report,
        "port 80",
        Fail,
        "not this machine: it answers port 80 with status 404; point it here",
    );
    // Nothing listens on its port 443, which may be a matter of routers.
    assert_check(
        &report,
        "port 443",
        Warn,
        "not reachable on port 443 from here",
    );
    // What the proxy itself serves is still right.
    assert_check(
        &report,
        "handshake",
        Ok,
        "clients get the stored certificate",
    );
    app.stop(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_does_not_exist_is_told() {
    let mut scene = Scene::new().await;
    scene.dns.forget(NAME).a("other.example.org", HERE);
    let report = scene.alone().await;
    assert_check(
        &report,
        "dns",
        Warn,
        "does not exist in DNS; add an A or AAAA record",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_ports_of_this_machine_are_told() {
    // Given a second address of this machine, on which the proxy does not listen.
    let mut scene = Scene::new().await;
    scene.own(&[HERE, THERE]);
    scene.dns.forget(NAME).a(NAME, THERE);
    let report = scene.alone().await;
    assert_check(&report, "port 80", Fail, "not reachable on port 80");
    assert_check(
        &report,
        "port 443",
        Fail,
        "nothing answers port 443 of 127.0.0.2, an address of this machine",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_another_program_has_is_told() {
    let mut scene = Scene::new().await;
    scene.release();
    let _held = std::net::TcpListener::bind(scene.config.listen.https[0].address).unwrap();
    let report = scene.alone().await;
    assert_check(
        &report,
        "ports",
        Fail,
        "is in use by another program; stop it",
    );
    assert_check(&report, "ports", Ok, "is free");
    assert_check(&report, "port 80", Ok, "own token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caa_records_for_another_ca_are_told_with_the_record_to_add() {
    let mut scene = Scene::new().await;
    scene.dns.caa("example.org", Some("other.example"));
    let report = scene.alone().await;
    assert_check(&report, "caa", Fail, "add `issue \"ca.example\"` to them");
    assert_check(&report, "dns", Ok, "A points to 127.0.0.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_differs_from_the_ca_is_told() {
    for (days, status) in [(0, Warn), (3, Fail)] {
        let ahead = Duration::from_secs(days * 24 * 3600 + 7200);
        let date = httpdate::fmt_http_date(SystemTime::now() + ahead);
        let directory = Reply::json(200, &json!({})).header("date", &date);
        let script = Script::new().always(Step::Directory, Fault::Answer(directory));
        let report = Scene::with(script).await.alone().await;
        assert_check(
            &report,
            "clock",
            status,
            "behind the CA's clock; set it, for example by NTP",
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_that_does_not_answer_is_told() {
    let script = Script::new().always(Step::Directory, Fault::Answer(Reply::new(503, "")));
    let report = Scene::with(script).await.alone().await;
    assert_check(&report, "ca", Fail, "cannot be used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_backend_is_told() {
    let mut scene = Scene::new().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    scene.forward_to(&format!("\"{address}\""));
    let report = scene.alone().await;
    let sentence =
        format!("backend {address} refuses connections; start it, or correct its address");
    assert_check(&report, "backend", Fail, &sentence);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_fails_its_health_check_is_told() {
    // Given an app that works, and one that says at its health check that it does not.
    let mut scene = Scene::new().await;
    let app = App::start().await;
    let sick = Origin::answering(STRANGER).await;
    let site = |backends: &str| {
        format!("{{ upstream = [{backends}], health = {{ path = \"/ready\", expect = \"200\" }} }}")
    };
    let well = format!("\"{}\"", app.address);
    let sick = format!("\"{}\"", sick.address);
    scene.forward_to(&site(&format!("{well}, {sick}")));
    let report = scene.alone().await;
    let part = "answers its health check with status 200";
    assert_check(&report, "backend", Ok, part);
    let part = "answers its health check with status 404 and gets no requests therefore";
    assert_check(&report, "backend", Warn, part);
    scene.forward_to(&site(&sick));
    assert_check(&scene.alone().await, "backend", Fail, part);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_backs_off_is_told_with_its_sentence() {
    let script = Script::new().always(
        Step::NewOrder,
        Fault::Answer(Reply::problem(403, "rejectedIdentifier", "no")),
    );
    let mut scene = Scene::with(script).await;
    let app = scene.start().await;
    let report = check(&app, &[]).await;
    assert_check(
        &report,
        "certificate",
        Fail,
        "no certificate after 1 failed attempt",
    );
    app.stop(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_that_takes_no_orders_now_is_told_while_the_certificate_is_served() {
    // Given a CA that has signed, and takes no further order for an hour.
    let limited = Reply::problem(429, "rateLimited", "too many new orders recently")
        .header("retry-after", "3600");
    let script = Script::new().fault(Step::NewOrder, 2, Fault::Answer(limited));
    let mut scene = Scene::with(script).await;
    let app = scene.start().await;
    assert!(
        check(&app, &[])
            .await
            .checks
            .iter()
            .all(|it| it.check != "budget")
    );

    // When the certificate should be renewed.
    let name = HostPattern::parse(NAME).unwrap();
    soon(app.manager().renew_now(&name)).await.unwrap_err();

    // Then the certificate is served, and a line of its own tells until when there can be no other one.
    let report = check(&app, &[]).await;
    let mut certificate = report.checks.iter().filter(|it| it.check == "certificate");
    assert!(certificate.all(|it| it.sentence.starts_with("served until")));
    assert_check(&report, "budget", Warn, "accepts no orders for");
    assert_check(&report, "budget", Warn, "too many new orders recently");
    app.stop(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_collector_of_traces_says_is_told() {
    let mut scene = Scene::new().await;
    let mut contact = async |address: SocketAddr| {
        let url = Url::parse(&format!("http://{address}")).unwrap();
        scene.config.tracing = Some(TraceOptions::new(url));
        scene.alone().await
    };
    // One that takes traces gets a message without any.
    let collector = Origin::answering(TAKEN).await;
    let report = contact(collector.address).await;
    let sentence = format!(
        "the collector at http://{}/v1/traces takes traces",
        collector.address
    );
    assert_check(&report, "collector", Ok, &sentence);
    // A server that is no collector, and none at all. Sites are served all the same.
    let other = Origin::answering(STRANGER).await;
    let report = contact(other.address).await;
    assert_check(
        &report,
        "collector",
        Warn,
        "does not accept traces; correct `endpoint` of `tracing`",
    );
    let report = contact(refusing_address().await).await;
    assert_check(&report, "collector", Warn, "cannot be reached");
    assert_eq!(report.worst(), Warn);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_was_replaced_on_disk_only_is_told() {
    let mut scene = Scene::new().await;
    let app = scene.start().await;
    // Given another certificate in storage than the one in memory.
    let folder = scene.config.storage.directory().join("certificates");
    let issuer = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    let file = issuer.path().join(NAME).join("certificate.pem");
    let (other, key) = crate::harness::ca::pki::TestCa::root("other").loopback();
    std::fs::write(file, format!("{}{}", other.pem(), key.serialize_pem())).unwrap();
    let report = check(&app, &[]).await;
    assert_check(
        &report,
        "handshake",
        Fail,
        "another certificate at 127.0.0.1 than the stored one",
    );
    app.stop(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_given_are_checked_alone() {
    let mut scene = Scene::new().await;
    let app = scene.start().await;
    let report = check(&app, &["other.test", NAME]).await;
    assert_check(
        &report,
        "site",
        Fail,
        "no site serves it; add it to [sites]",
    );
    assert_check(&report, "dns", Ok, "A points to 127.0.0.1");
    app.stop(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_dns_server_does_not_hold_up_the_other_checks() {
    let mut scene = Scene::new().await;
    let sites: Vec<_> = (0..80u8)
        .map(|number| {
            let name = format!("w{number}.example.org");
            scene.dns.silent(&name);
            let pattern = HostPattern::parse(&name).unwrap();
            proxy::config::SiteConfig {
                pattern,
                ..scene.config.sites[0].clone()
            }
        })
        .collect();
    scene.config.sites = sites;
    let start = Instant::now();
    let report = scene.alone().await;
    assert!(
        start.elapsed() < Duration::from_secs(22),
        "{:?}",
        start.elapsed()
    );
    assert_check(&report, "storage", Ok, "");
    assert_check(&report, "backend", Ok, "answers with status 200");
    assert_check(&report, "names", Warn, "not checked");
    let slow = report.checks.iter().filter(|it| it.check == "dns");
    assert!(slow.count() >= 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_documentation_address_is_told() {
    let mut scene = Scene::new().await;
    scene.dns.forget(NAME).a(NAME, Ipv4Addr::new(192, 0, 2, 5));
    let report = scene.alone().await;
    assert_check(
        &report,
        "dns",
        Fail,
        "a documentation address that no public CA can reach",
    );
}
