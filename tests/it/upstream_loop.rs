//! Upstreams that lead back to the proxy itself.

use http::StatusCode;

use crate::harness::dns::DnsServer;
use crate::harness::proxy::{Ports, Setup};

const NAME: &str = "app.example.test";

#[tokio::test]
async fn a_name_that_leads_back_to_the_proxy_is_refused_before_requests_go_round() {
    let dns = DnsServer::start();
    dns.a(NAME, [127, 0, 0, 1].into());
    let ports = Ports::reserve();
    let text = format!(
        "resolvers = [\"{}\"]\n\
         access-log = \"-\"\n\
         [sites.\"{NAME}\"]\n\
         upstream = \"https://{NAME}:{}\"\n\
         upstream-options = {{ tls = {{ insecure = true }} }}\n",
        dns.address(),
        ports.https().port()
    );
    let mut proxy = Setup::on(ports).proxyfile(&text).start().await;

    let answer = proxy.client().get(proxy.https(), NAME, "/").await;

    assert_eq!(answer.status, StatusCode::LOOP_DETECTED);
    let line = proxy.logged("request failed at its backend").await;
    assert!(line.contains("leads back to the proxy itself"), "{line}");
    let line = proxy.output("\"status\":508").await;
    assert!(line.contains("\"reason\":\"loop\""), "{line}");
}
