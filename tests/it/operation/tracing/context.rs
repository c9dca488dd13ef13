//! The context of a trace on its way through the proxy (W3C Trace Context).

use super::fixtures::{TRACE, get, received, start, traceparent, tracing};
use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::header;
use crate::harness::traces::collector::Collector;

#[tokio::test]
async fn a_trace_goes_on_and_a_request_without_one_gets_its_own() {
    // Given a proxy that records all traces of clients that it does not trust.
    let mut origin = Origin::ok().await;
    let mut collector = Collector::start().await;
    let proxy = start(&tracing(collector.address), &[origin.address]).await;

    // When a client names a trace that it does not record.
    let fields = traceparent("00") + "tracestate: vendor=1\r\n";
    get(&proxy, "/", &fields).await;

    // Then it goes on, under a span of the proxy, and is recorded.
    let head = origin.event().await;
    assert_eq!(received(&head)[0], TRACE);
    assert_ne!(received(&head)[1], "b7ad6b7169203331");
    assert_eq!(received(&head)[2], "01");
    assert_eq!(header(&head, "tracestate"), Some("vendor=1"));
    let (server, attempts) = collector.request().await;
    assert_eq!(
        (server.trace.as_str(), server.parent.as_str()),
        (TRACE, "b7ad6b7169203331")
    );
    assert_eq!(received(&head)[1], attempts[0].id);

    // When the context is missing, malformed or ambiguous, then a trace begins, without the state of another one.
    let twice = traceparent("01") + &traceparent("01");
    let upper = traceparent("01").replace("0af7", "0AF7");
    let zero = traceparent("01").replace(TRACE, &"0".repeat(32));
    for fields in [String::new(), twice, upper, zero] {
        get(&proxy, "/", &(fields + "tracestate: vendor=1\r\n")).await;
        let head = origin.event().await;
        let [trace, _, flags] = received(&head);
        assert!(trace != TRACE && trace != "0".repeat(32), "{head}");
        assert_eq!((flags, header(&head, "tracestate")), ("01", None), "{head}");
        let (server, _) = collector.request().await;
        assert_eq!((server.trace.as_str(), server.parent.as_str()), (trace, ""));
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_trusted_peer_decides_what_is_recorded_and_no_one_else() {
    let mut origin = Origin::ok().await;
    for (trust, sample, flags, is_recorded) in [
        ("[\"127.0.0.1\"]", "0.0", "01", true),
        ("[\"127.0.0.1\"]", "1.0", "00", false),
        ("[]", "0.0", "01", false),
        ("[]", "1", "00", true),
    ] {
        // Given a proxy that trusts the client or not.
        let mut collector = Collector::start().await;
        let url = format!("http://{}", collector.address);
        let top =
            format!("trust = {trust}\ntracing = {{ endpoint = \"{url}\", sample = {sample} }}");
        let mut proxy = start(&top, &[origin.address]).await;

        // When the client says whether it records the trace.
        get(&proxy, "/", &traceparent(flags)).await;

        // Then the backend learns what the proxy does, and the log has the trace in any case.
        let head = origin.event().await;
        let [trace, span, flags] = received(&head);
        let expected = if is_recorded { "01" } else { "00" };
        assert_eq!((trace, flags), (TRACE, expected), "{trust} {sample}");
        assert_ne!(span, "b7ad6b7169203331");
        let line = proxy.output("\"path\":\"/\"").await;
        assert!(
            line.contains(&format!("\"trace_id\":\"{TRACE}\"")),
            "{line}"
        );
        proxy.stop().await;
        let spans = collector.rest().len();
        assert_eq!(spans, if is_recorded { 2 } else { 0 }, "{trust} {sample}");
    }
}

#[tokio::test]
async fn without_tracing_the_context_passes_untouched() {
    let mut origin = Origin::ok().await;
    let mut proxy = start("", &[origin.address]).await;
    let fields = "traceparent: what-ever\r\ntracestate: vendor=1\r\n";
    get(&proxy, "/", fields).await;
    let head = origin.event().await;
    assert_eq!(header(&head, "traceparent"), Some("what-ever"));
    assert_eq!(header(&head, "tracestate"), Some("vendor=1"));
    get(&proxy, "/none", "").await;
    assert_eq!(header(&origin.event().await, "traceparent"), None);
    let line = proxy.output("\"path\":\"/none\"").await;
    assert!(!line.contains("trace_id"), "{line}");
    proxy.stop().await;
}

#[tokio::test]
async fn the_operator_can_keep_the_trace_from_a_backend_and_its_limit_of_fields_holds() {
    // Given a site that removes the context, and a limit of fields that the request just keeps to.
    let mut origin = Origin::ok().await;
    let mut collector = Collector::start().await;
    let top = format!(
        "{}\nlimits = {{ head-fields = 2 }}",
        tracing(collector.address)
    );
    let text = super::fixtures::proxyfile(&top, &[origin.address]);
    let text = text + "request-headers = { remove = [\"traceparent\"] }\n";
    let setup = crate::harness::proxy::ProxySetup::new().proxyfile(&text);
    let proxy = setup.start().await;

    // When a request comes, then it is served and recorded, and the backend learns nothing.
    let answer = get(&proxy, "/", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(header(&origin.event().await, "traceparent"), None);
    assert_eq!(collector.request().await.1.len(), 1);
    proxy.stop().await;
}
