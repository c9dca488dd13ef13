//! The export of traces: batches, failures of the collector, reload and stop.

use crate::harness::admin::Outcome;
use crate::harness::backends::origin::Origin;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::raw::{RawStream, header};
use crate::harness::proxy::{ProxySetup, command};
use crate::harness::skip::skip;
use crate::harness::traces::collector::{Collector, TAKEN};
use crate::harness::traces::rotel::Rotel;
use crate::harness::traces::tls_front::TlsFront;
use crate::operation::metrics::{address, metrics};

use super::fixtures::{get, proxyfile, start, traceparent, tracing};

const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
/// Two spans were refused: field 1 holds field 1 with 2, and field 2 with `too old`.
const PARTLY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n\x0a\x0b\x08\x02\x12\x07too old";

#[tokio::test]
async fn a_message_has_the_service_and_the_fields_of_the_collector_whose_values_are_secret() {
    // Given a token for the collector in a file, and another in the Proxyfile.
    let origin = Origin::ok().await;
    let mut collector = Collector::start().await;
    let setup = ProxySetup::new();
    setup.file("token", "Bearer s3cret\n");
    let top = format!(
        "log.level = \"debug\"\ntracing = {{ endpoint = \"http://{}/otlp/\", service-name = \"edge\", \
         headers = {{ Authorization = \"file:token\", X-Key = \"hidden-s3cret\" }} }}",
        collector.address
    );
    let text = proxyfile(&top, &[origin.address]);
    let path = setup.file("Proxyfile", &text);
    let proxy = setup.proxyfile(&text).start().await;

    // When a request was traced.
    get(&proxy, "/", "").await;

    // Then the collector gets protobuf with the fields, and nothing shows them.
    let export = collector.export().await;
    assert!(
        export.head.starts_with("POST /otlp/v1/traces HTTP/1.1\r\n"),
        "{}",
        export.head
    );
    for (name, value) in [
        ("content-type", "application/x-protobuf"),
        ("authorization", "Bearer s3cret"),
        ("x-key", "hidden-s3cret"),
    ] {
        assert_eq!(header(&export.head, name), Some(value), "{}", export.head);
    }
    assert_eq!(export.resource["service.name"], "edge");
    assert_eq!(
        export.resource["service.version"],
        env!("CARGO_PKG_VERSION")
    );
    assert!(!export.resource["host.name"].is_empty());
    let path = path.display().to_string();
    let explained = command()
        .args(["explain", "--config", &path])
        .output()
        .await
        .unwrap();
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.contains("service-name = \"edge\""), "{explained}");
    assert!(explained.contains("authorization = \"file:"), "{explained}");
    for text in [explained, proxy.log()] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn without_an_address_the_standard_variables_name_the_collector() {
    // Given a Proxyfile that turns tracing on, and names the service only.
    let origin = Origin::ok().await;
    for (top, service) in [
        ("tracing = true", "from-variable"),
        ("tracing = { service-name = \"from-file\" }", "from-file"),
    ] {
        let mut collector = Collector::start().await;
        let setup = ProxySetup::new()
            .proxyfile(&proxyfile(top, &[origin.address]))
            .env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &format!("http://{}/base", collector.address),
            )
            .env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=hidden%20s3cret")
            .env("OTEL_SERVICE_NAME", "from-variable");
        let proxy = setup.start().await;

        // When a request was traced, then the collector of the variable gets it, with the fields of the variable.
        get(&proxy, "/", "").await;
        let export = collector.export().await;
        assert!(
            export.head.starts_with("POST /base/v1/traces HTTP/1.1\r\n"),
            "{}",
            export.head
        );
        assert_eq!(header(&export.head, "x-key"), Some("hidden s3cret"));
        assert_eq!(export.resource["service.name"], service);
        assert!(!proxy.log().contains("s3cret"), "{}", proxy.log());
        proxy.stop().await;
    }
}

#[tokio::test]
async fn tracing_without_any_address_is_a_mistake_and_false_is_none() {
    let setup = ProxySetup::new();
    let storage = format!("file:{}", setup.data().display());
    for (value, is_mistake) in [("true", true), ("{}", true), ("false", false)] {
        let text = format!("tracing = {value}\n[sites]\nlocalhost = {{ respond = 204 }}\n");
        let file = setup.file("Proxyfile", &text);
        let told = command()
            .args(["check", "--storage", &storage, "--config"])
            .arg(file)
            .output();
        let told = Outcome::from(told.await.unwrap());
        assert_eq!(
            told.code != 0,
            is_mistake,
            "{value}: {} {}",
            told.out,
            told.err
        );
        let says = "`tracing` has no collector; set `endpoint` to its URL, or set the environment variable OTEL_EXPORTER_OTLP_ENDPOINT";
        assert_eq!(told.err.contains(says), is_mistake, "{value}: {}", told.err);
    }
}

#[tokio::test]
async fn a_collector_with_a_certificate_of_a_private_ca_is_believed_by_its_root_alone() {
    // Given a collector over TLS whose root the file names, and one whose root it does not name.
    let origin = Origin::ok().await;
    let mut collector = Collector::start().await;
    let own = TestCa::root("collector").loopback_server();
    let tls = TlsFront::start(&own, collector.address).await;
    let setup = ProxySetup::new();
    setup.file("root.pem", &TestCa::root("stranger").pem());
    let top = format!(
        "tracing = {{ endpoint = \"https://localhost:{}\", root = \"root.pem\" }}",
        tls.address.port()
    );
    let text = proxyfile(&top, &[origin.address]);
    let mut proxy = setup.proxyfile(&text).start().await;
    get(&proxy, "/first", "").await;
    let line = proxy.logged("spans cannot be exported").await;
    assert!(
        line.contains("set `root` if a private CA has signed"),
        "{line}"
    );

    // When the file has the right root, and a reload reads it.
    proxy.file("root.pem", &own.root);
    proxy.reload(&text).await;
    get(&proxy, "/second", "").await;

    // Then the spans arrive.
    assert_eq!(collector.request().await.0.get("url.path"), "/second");
    proxy.stop().await;
}

#[tokio::test]
async fn spans_that_the_collector_does_not_take_now_are_sent_again() {
    // Given a collector that is busy at first.
    let origin = Origin::ok().await;
    let mut collector = Collector::answering(|number| if number < 3 { BUSY } else { TAKEN }).await;
    let top = format!("metrics = \"127.0.0.1:0\"\n{}", tracing(collector.address));
    let mut proxy = start(&top, &[origin.address]).await;
    let address = address(&mut proxy).await;

    // When a request was traced.
    get(&proxy, "/", "").await;

    // Then the same spans come again until they are taken, and the log tells the failure and its end once.
    let first = collector.export().await;
    for _ in 0..2 {
        assert_eq!(collector.export().await.spans, first.spans);
    }
    let line = proxy.logged("spans cannot be exported").await;
    assert!(
        line.contains("status 503") && line.contains("retry_in="),
        "{line}"
    );
    proxy.logged("spans are exported again").await;
    assert_eq!(proxy.log().matches("spans cannot be exported").count(), 1);
    let page = metrics(address).await;
    for (result, count) in [("exported", 2), ("dropped", 0), ("rejected", 0)] {
        let line = format!("proxy_trace_spans_total{{result=\"{result}\"}} {count}\n");
        assert!(page.contains(&line), "{page}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn spans_that_the_collector_refuses_are_counted_and_told() {
    let origin = Origin::ok().await;
    let collector = Collector::answering(|number| match number {
        1 => "HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n",
        _ => PARTLY,
    });
    let mut collector = collector.await;
    let top = format!("metrics = \"127.0.0.1:0\"\n{}", tracing(collector.address));
    let mut proxy = start(&top, &[origin.address]).await;
    let address = address(&mut proxy).await;
    get(&proxy, "/", "").await;
    collector.export().await;
    let line = proxy.logged("spans cannot be exported").await;
    assert!(
        line.contains("status 400 Bad Request; look into its log"),
        "{line}"
    );
    get(&proxy, "/", "").await;
    collector.export().await;
    let line = proxy.logged("the collector has refused spans").await;
    assert!(
        line.contains("spans=2") && line.contains("too old"),
        "{line}"
    );
    let page = metrics(address).await;
    assert!(
        page.contains("proxy_trace_spans_total{result=\"rejected\"} 4\n"),
        "{page}"
    );
    proxy.stop().await;
}

#[tokio::test]
async fn the_last_spans_are_exported_before_the_process_ends() {
    let origin = Origin::ok().await;
    let mut collector = Collector::start().await;
    let proxy = start(&tracing(collector.address), &[origin.address]).await;
    for _ in 0..10 {
        get(&proxy, "/", "").await;
    }
    proxy.stop().await;
    assert_eq!(collector.rest().len(), 20);
}

#[tokio::test]
async fn a_collector_that_is_gone_or_mute_delays_neither_requests_nor_the_end() {
    // Given collectors that never answer, and none at all.
    let origin = Origin::ok().await;
    let mute = Collector::answering(|_| "").await;
    let gone = crate::harness::backends::origin::refusing_address().await;
    for (collector, lost) in [(mute.address, "spans=2"), (gone, "")] {
        let mut proxy = start(&tracing(collector), &[origin.address]).await;

        // When a request comes and the proxy stops, then it answers and ends, and the log tells the loss.
        let answer = get(&proxy, "/", "").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        proxy.signal(rustix::process::Signal::TERM);
        assert!(proxy.ended().await.success());
        let log = proxy.log();
        if lost.is_empty() {
            assert!(log.contains("cannot be reached"), "{log}");
            assert!(
                log.contains("start it, or correct `endpoint` of `tracing`"),
                "{log}"
            );
        } else {
            let line = log
                .lines()
                .find(|line| line.contains("spans were lost at the end"));
            assert!(line.is_some_and(|line| line.contains(lost)), "{log}");
        }
    }
}

#[tokio::test]
async fn spans_that_no_queue_has_room_for_are_dropped_counted_and_told_once() {
    // Given a collector that stays busy.
    let collector = Collector::answering(|_| BUSY).await;
    let top = format!("metrics = \"127.0.0.1:0\"\n{}", tracing(collector.address));
    let mut proxy = start(&top, &[collector.address]).await;
    let address = address(&mut proxy).await;

    // When more requests come on one connection than its worker keeps spans for, then each is answered.
    let mut client = RawStream::connect(proxy.http()).await;
    for _ in 0..300 {
        let request = "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n";
        client.send(request.repeat(10)).await;
        for _ in 0..10 {
            let answer = client.read_until("no such site\n").await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        }
    }

    // Then the rest is counted, and told once.
    let line = proxy.logged("spans are dropped").await;
    assert!(line.contains("lower `sample` of `tracing`"), "{line}");
    let page = metrics(address).await;
    let (_, dropped) = page
        .split_once("proxy_trace_spans_total{result=\"dropped\"} ")
        .unwrap();
    let dropped: u64 = dropped.lines().next().unwrap().parse().unwrap();
    assert!((1..=3000 - 2048).contains(&dropped), "{dropped}");
    assert_eq!(proxy.log().matches("spans are dropped").count(), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn a_reload_changes_the_collector_and_the_fraction_and_turns_tracing_off() {
    let mut origin = Origin::ok().await;
    let mut first = Collector::start().await;
    let mut second = Collector::start().await;
    let mut proxy = start(&tracing(first.address), &[origin.address]).await;
    get(&proxy, "/", "").await;
    origin.event().await;

    // When a reload names another collector, then it gets the next spans, and the first one those before.
    let said = proxy
        .reload(&proxyfile(&tracing(second.address), &[origin.address]))
        .await;
    assert!(said.contains("configuration reloaded"), "{said}");
    get(&proxy, "/second", "").await;
    origin.event().await;
    assert_eq!(second.request().await.0.get("url.path"), "/second");
    assert_eq!(first.request().await.0.get("url.path"), "/");

    // When a reload records nothing any more, then the context goes on alone; and it passes untouched without tracing.
    let top = format!(
        "tracing = {{ endpoint = \"http://{}\", sample = 0 }}",
        second.address
    );
    proxy.reload(&proxyfile(&top, &[origin.address])).await;
    get(&proxy, "/third", &traceparent("01")).await;
    assert_eq!(super::fixtures::received(&origin.event().await)[2], "00");
    proxy.reload(&proxyfile("", &[origin.address])).await;
    get(&proxy, "/", "traceparent: x\r\n").await;
    assert_eq!(header(&origin.event().await, "traceparent"), Some("x"));
    proxy.stop().await;
    assert_eq!((first.rest(), second.rest()), (vec![], vec![]));
}

#[tokio::test]
async fn a_line_of_text_ends_with_the_trace() {
    let origin = Origin::ok().await;
    let collector = Collector::start().await;
    for format in ["common", "combined"] {
        let top = tracing(collector.address);
        let text = proxyfile(&top, &[origin.address]);
        let log = format!("access-log = {{ file = \"-\", format = \"{format}\" }}");
        let text = text.replace("access-log = \"-\"", &log);
        let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
        get(&proxy, "/", &traceparent("00")).await;
        let line = proxy.output("GET /").await;
        assert!(
            line.trim_end()
                .ends_with(" 0af7651916cd43dd8448eb211c80319c"),
            "{line}"
        );
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_real_collector_reads_the_spans() {
    let Some(mut rotel) = Rotel::start().await else {
        return skip("there is no Rotel that runs here; tests/fetch_rotel gets it");
    };
    // Given a proxy that exports to Rotel, and a backend that refuses.
    let refusing = crate::harness::backends::origin::refusing_address().await;
    let proxy = start(&tracing(rotel.address), &[refusing]).await;

    // When a request fails, then Rotel prints both spans as they were meant.
    get(&proxy, "/a?b=c", &traceparent("01")).await;
    let output = rotel
        .printed(&[
            "Kind           : SPAN_KIND_SERVER".to_owned(),
            "Kind           : SPAN_KIND_CLIENT".to_owned(),
        ])
        .await;
    for part in [
        "service.name: Str(proxy)",
        "Trace ID       : 0af7651916cd43dd8448eb211c80319c",
        "Parent ID      : b7ad6b7169203331",
        "Name           : GET",
        "Status code    : STATUS_CODE_ERROR",
        "url.path: Str(/a)",
        "http.response.status_code: Int(502)",
        "error.type: Str(backend-unreachable)",
        &format!("server.port: Int({})", refusing.port()),
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    proxy.stop().await;
}
