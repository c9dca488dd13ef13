//! Upstreams that point back to the proxy itself.

use std::net::{IpAddr, Ipv4Addr};

use http::StatusCode;

use crate::harness::dns::server::DnsServer;
use crate::harness::ports::ProxyPorts;
use crate::harness::proxy::ProxySetup;

const NAME: &str = "app.example.test";

#[tokio::test]
async fn a_name_that_points_to_the_proxy_itself_is_refused_before_a_loop() {
    for listener in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
        refuses(listener.into()).await;
    }
}

async fn refuses(listener: IpAddr) {
    let dns = DnsServer::start();
    dns.a(NAME, [127, 0, 0, 1].into());
    let ports = ProxyPorts::reserve_at(listener);
    let text = format!(
        "resolvers = [\"{}\"]\n\
         access-log = \"-\"\n\
         [sites.\"{NAME}\"]\n\
         upstream = \"https://{NAME}:{}\"\n\
         upstream-options = {{ tls = {{ insecure = true }} }}\n",
        dns.address(),
        ports.https().port()
    );
    let mut proxy = ProxySetup::on(ports).proxyfile(&text).start().await;

    let answer = proxy.client().get(proxy.https(), NAME, "/").await;

    assert_eq!(answer.status, StatusCode::LOOP_DETECTED);
    let line = proxy.logged(&format!("{NAME}: backend ")).await;
    assert!(line.contains("leads back to the proxy itself"), "{line}");
    let line = proxy.output("\"status\":508").await;
    assert!(line.contains("\"reason\":\"loop\""), "{line}");
}
