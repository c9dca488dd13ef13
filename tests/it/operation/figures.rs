//! Figures of requests, connections, backends and certificates, as the metrics show them.

use std::net::SocketAddr;
use std::path::Path;

use http::{Request, StatusCode};
use http_body_util::Full;

use super::metrics::{address, metrics, plain_metrics};
use super::monitoring::documented;
use crate::harness::backends::origin::refusing_address;
use crate::harness::backends::web_app::App;
use crate::harness::ca::scripted::{Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::clients::raw::ask;
use crate::harness::deadline::soon;
use crate::harness::promtool;
use crate::harness::proxy::ProxySetup;

/// Waits until the metrics have all these lines.
async fn shown(metrics_address: SocketAddr, lines: &[&str]) {
    let mut page = String::new();
    let waited = async {
        loop {
            page = metrics(metrics_address).await;
            if lines
                .iter()
                .all(|line| page.contains(&format!("\n{line}\n")))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(10), waited).await;
    let missing: Vec<_> = lines
        .iter()
        .filter(|line| !page.contains(&format!("\n{line}\n")))
        .collect();
    assert!(waited.is_ok(), "{missing:?} are missing: {page}");
}

fn proxyfile(sites: &str) -> String {
    format!("metrics = \"127.0.0.1:0\"\n[sites]\n{sites}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_at_their_site_by_status_with_times_and_bytes() {
    // Given an app behind a site with a wildcard, and a site that answers itself.
    let app = App::start().await;
    let sites = format!(
        "\"*.localhost\" = \"{}\"\n\"a.test\" = {{ respond = {{ status = 404 }} }}\n",
        app.address
    );
    let setup = ProxySetup::new().proxyfile(&proxyfile(&sites));
    let mut proxy = setup.start().await;
    let metrics_address = address(&mut proxy).await;
    let client = proxy.client();
    // When clients ask over both versions of HTTP, and over plain HTTP.
    let https = proxy.https();
    for path in ["/", "/download?100000"] {
        let answer = client.get(https, "one.localhost", path).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    client.get2(https, "two.localhost", "/").await;
    client.get(https, "a.test", "/").await;
    ask(
        proxy.http(),
        "GET / HTTP/1.1\r\nhost: three.localhost\r\nconnection: close\r\n\r\n",
    )
    .await;
    ask(
        proxy.http(),
        "GET / HTTP/1.1\r\nhost: example.org\r\nconnection: close\r\n\r\n",
    )
    .await;
    // Then all of them count at the name of their site, and the unknown host at none.
    let lines = [
        r#"proxy_requests_total{site="*.localhost",status="2xx"} 3"#,
        r#"proxy_requests_total{site="*.localhost",status="3xx"} 1"#,
        r#"proxy_requests_total{site="*.localhost",status="5xx"} 0"#,
        r#"proxy_requests_total{site="a.test",status="4xx"} 1"#,
        r#"proxy_request_duration_seconds_count{site="*.localhost"} 4"#,
        r#"proxy_request_duration_seconds_bucket{le="+Inf",site="*.localhost"} 4"#,
        r#"proxy_response_head_seconds_count{site="*.localhost"} 3"#,
        r#"proxy_response_head_seconds_count{site="a.test"} 0"#,
        r#"proxy_sent_bytes_total{site="*.localhost"} 100010"#,
        r#"proxy_requests_in_flight{site="*.localhost"} 0"#,
        r#"proxy_tls_handshakes_total{version="1.3",result="ok",resumed="false"} 3"#,
        r#"proxy_tls_handshakes_total{version="1.3",result="ok",resumed="true"} 1"#,
        r#"proxy_accepted_connections_total{protocol="https-http1"} 3"#,
        r#"proxy_accepted_connections_total{protocol="https-http2"} 1"#,
        r#"proxy_accepted_connections_total{protocol="http"} 2"#,
        r#"proxy_open_connections{protocol="http"} 0"#,
        r#"proxy_reloads_total{result="ok"} 0"#,
    ];
    shown(metrics_address, &lines).await;
    let page = metrics(metrics_address).await;
    for host in ["one.localhost", "three.localhost", "example.org"] {
        let label = format!("site=\"{host}\"");
        assert!(!page.contains(&label), "{label}: {page}");
    }
    let built = format!(
        "proxy_build_info{{version=\"{}\"}} 1\n",
        env!("CARGO_PKG_VERSION")
    );
    assert!(page.contains(&built), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_requests_in_flight_and_clients_that_leave_are_counted() {
    let app = App::start().await;
    let setup = ProxySetup::new().local(&app);
    let mut proxy = setup.args(["--metrics", "127.0.0.1:0"]).start().await;
    let metrics_address = address(&mut proxy).await;
    let client = proxy.client();
    // Given an upload.
    let mut sender = client.http1(proxy.https(), "localhost").await;
    let upload = Request::post("/upload")
        .header("host", "localhost")
        .body(Full::from(vec![b'x'; 50_000]))
        .unwrap();
    sender.send_request(upload).await.unwrap();
    shown(
        metrics_address,
        &[r#"proxy_received_bytes_total{site="localhost"} 50000"#],
    )
    .await;
    // When a client waits for its response, it is in flight; and when it resets its stream, it has got none.
    let mut waiting = client.http2(proxy.https(), "localhost").await;
    let request = Request::get("https://localhost/gate").body(Full::default());
    let response = waiting.send_request(request.unwrap());
    let running = async {
        app.gate_reached().await;
        let in_flight = r#"proxy_requests_in_flight{site="localhost"} 1"#;
        shown(metrics_address, &[in_flight]).await;
    };
    tokio::select! {
        _ = response => panic!("the gate is closed"),
        () = running => {}
    }
    shown(
        metrics_address,
        &[
            r#"proxy_requests_in_flight{site="localhost"} 0"#,
            r#"proxy_requests_total{site="localhost",status="none"} 1"#,
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_belong_to_the_name_of_a_site_over_a_reload() {
    let sites = |names: &[&str], body: &str| {
        let site = |name: &&str| format!("\"{name}\" = {{ respond = {{ body = \"{body}\" }} }}\n");
        proxyfile(&names.iter().map(site).collect::<String>())
    };
    let both = ["a.localhost", "b.localhost"];
    let setup = ProxySetup::new().proxyfile(&sites(&both, "one"));
    let mut proxy = setup.start().await;
    let metrics_address = address(&mut proxy).await;
    let client = proxy.client();
    for name in both {
        client.get(proxy.https(), name, "/").await;
    }
    let counted = |name: &str, count: usize| {
        format!("proxy_requests_total{{site=\"{name}\",status=\"2xx\"}} {count}")
    };
    shown(
        metrics_address,
        &both
            .map(|name| counted(name, 1))
            .each_ref()
            .map(String::as_str),
    )
    .await;

    // When one of the sites changes and the other one is removed.
    proxy.reload(&sites(&["a.localhost"], "two")).await;
    client.get(proxy.https(), "a.localhost", "/").await;

    // Then the first one goes on counting, and the figures of the other are gone.
    let reloads = r#"proxy_reloads_total{result="ok"} 1"#;
    shown(metrics_address, &[&counted("a.localhost", 2), reloads]).await;
    assert!(
        !metrics(metrics_address)
            .await
            .contains("site=\"b.localhost\"")
    );

    // When it comes back, it begins at zero.
    proxy.reload(&sites(&both, "three")).await;
    client.get(proxy.https(), "b.localhost", "/").await;
    let counts = [counted("a.localhost", 2), counted("b.localhost", 1)];
    shown(metrics_address, &counts.each_ref().map(String::as_str)).await;
    proxy.reload("nonsense").await;
    shown(
        metrics_address,
        &[r#"proxy_reloads_total{result="failed"} 1"#],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_retries_and_ejections_are_counted_at_the_backend() {
    // Given two backends, of which one refuses all connections.
    let (app, dead) = (App::start().await, refusing_address().await);
    let sites = format!(
        "[sites.localhost]\nupstream = [\"{dead}\", \"{}\"]\nbalance = \"round-robin\"\n\
         [sites.localhost.upstream-options]\nmax-fails = 2\neject-time = \"60s\"\n",
        app.address
    );
    let text = format!("metrics = \"127.0.0.1:0\"\n{sites}");
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let metrics_address = address(&mut proxy).await;
    let client = proxy.client();
    for _ in 0..6 {
        let answer = client.get(proxy.https(), "localhost", "/").await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let of = |name: &str, address: SocketAddr, rest: &str| {
        format!("proxy_backend_{name}{{upstream=\"localhost/\",backend=\"{address}\"{rest}")
    };
    let lines = [
        of("failures_total", dead, "} 2"),
        of("retries_total", dead, "} 2"),
        of("ejections_total", dead, "} 1"),
        of("state", dead, ",state=\"ejected\"} 1"),
        of("state", dead, ",state=\"up\"} 0"),
        of("state", app.address, ",state=\"up\"} 1"),
        of("responses_total", app.address, ",status=\"2xx\"} 6"),
        of("failures_total", app.address, "} 0"),
        of("requests_in_flight", app.address, "} 0"),
        "proxy_upstream_queue{upstream=\"localhost/\"} 0".to_owned(),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    shown(metrics_address, &lines).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_finds_nothing_wrong_with_a_page_that_has_all_metrics() {
    // Given a proxy with an app, whose CA refuses all orders.
    let app = App::start().await;
    let setup = ProxySetup::new().args(["--metrics", "127.0.0.1:0", "--domain", "localhost"]);
    let refusal = Reply::problem(403, "rejectedIdentifier", "not here");
    let script = Script::new().always(Step::NewOrder, Fault::Answer(refusal));
    let ca = ScriptedCa::start(script, setup.http().port()).await;
    let mut proxy = setup
        .args(["--upstream", &app.address.to_string()])
        .args(["--domain", "www.example.org"])
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await;
    let metrics_address = address(&mut proxy).await;
    proxy.logged("certificate not obtained").await;
    ask(
        proxy.http(),
        "GET / HTTP/1.1\r\nhost: www.example.org\r\nconnection: close\r\n\r\n",
    )
    .await;
    // When the page has the failure of the certificate and the request.
    let page = soon(async {
        loop {
            let page = plain_metrics(metrics_address).await;
            let failed = "\nproxy_certificate_attempts_total{result=\"failed\"} ";
            if page.contains(failed) && page.contains("proxy_requests_total{") {
                return page;
            }
        }
    })
    .await;
    for name in [
        "proxy_certificate_backoff_until_timestamp_seconds{name=\"www.example.org\"} ",
        "proxy_certificate_budget_left{issuer=",
        "budget=\"failed-authorizations\"} ",
        "proxy_dns_updates_total{action=\"set\",result=\"ok\"} 0\n",
        "proxy_request_duration_seconds_bucket{",
        "proxy_backend_state{",
    ] {
        assert!(page.contains(name), "{name}: {page}");
    }
    // Then each metric is documented, and Prometheus' own tool has no complaint.
    let documented = documented();
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for name in types.filter_map(|line| line.split(' ').next()) {
        assert!(documented.contains(name), "{name}");
    }
    let complaints = promtool::complaints(Path::new("."), &["check", "metrics"], &page);
    assert_eq!(complaints, None);
    let wrong = promtool::complaints(Path::new("."), &["check", "metrics"], "a_total{ 1\n");
    assert!(wrong.is_none_or(|said| said.contains("error")));
}
