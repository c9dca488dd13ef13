//! Failures of dns-01 that need no order: the CA never sees one.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::wildcards::{WILDCARD, proxyfile};
use crate::harness::admin::certs;
use crate::harness::backends::web_app::App;
use crate::harness::ca::scripted::{Script, ScriptedCa, Step};
use crate::harness::dns::bind::{KEY, KEY_NAME};
use crate::harness::dns::server::DnsServer;
use crate::harness::proxy::{Proxy, ProxySetup};

/// A hook that sets nothing.
fn hook(setup: &ProxySetup) -> String {
    let path = setup.file("hook", "#!/bin/sh\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path.display().to_string()
}

/// A proxy whose wildcard has this `dns`, and which asks this resolver.
async fn started(setup: ProxySetup, ca: &ScriptedCa, resolver: &str, dns: &str) -> Proxy {
    let app = App::start().await;
    let file = proxyfile(&app, resolver, &[(WILDCARD, dns)]);
    setup
        .proxyfile(&file)
        .ca(&ca.directory_url(), &ca.root_pem())
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_is_placed_if_the_dns_service_or_the_name_servers_do_not_answer() {
    let zone = Arc::new(DnsServer::start());
    let (dead, good) = ("127.0.0.1:1".to_owned(), zone.address().to_string());
    let rfc2136 = format!(
        "{{ rfc2136 = {{ server = \"{dead}\", key-name = \"{KEY_NAME}\", key = \"file:key\", \
         algorithm = \"hmac-sha512\" }} }}"
    );
    let cloudflare =
        format!("{{ cloudflare = {{ token = \"file:token\", url = \"http://{dead}\" }} }}");
    let strict =
        format!("{{ exec = \"HOOK\", name-servers = [\"{dead}\"], propagation = \"strict\" }}");
    for (resolver, dns, cause) in [
        (&good, rfc2136.as_str(), "the DNS server 127.0.0.1:"),
        (&good, &cloudflare, "Cloudflare "),
        (
            &good,
            &strict,
            "no name server of _acme-challenge.home.example.org answers: ",
        ),
        (
            &dead,
            "{ exec = \"HOOK\" }",
            "the CNAME records of _acme-challenge.home.example.org cannot be looked up",
        ),
    ] {
        let setup = ProxySetup::new();
        let ca = ScriptedCa::start(Script::new().dns01(&zone), 1).await;
        setup.file("key", KEY);
        setup.file("token", "secret");
        let dns = dns.replace("HOOK", &hook(&setup));
        let mut proxy = started(setup, &ca, resolver, &dns).await;

        let line = proxy.logged("certificate not obtained").await;

        assert!(line.contains(cause), "{line}");
        assert_eq!(ca.count(Step::NewOrder), 0, "{line}");
        // The account is there, so an order would have been next.
        assert_eq!(ca.count(Step::NewAccount), 1, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_is_placed_for_a_hook_that_is_gone() {
    // Given a hook that has worked.
    let zone = Arc::new(DnsServer::start());
    let setup = ProxySetup::new();
    let script = Script::new().dns01(&zone).without_validation();
    let ca = ScriptedCa::start(script, 1).await;
    let hook = hook(&setup);
    let dns = format!("{{ exec = \"{hook}\", propagation-delay = \"1ms\" }}");
    let mut proxy = started(setup, &ca, &zone.address().to_string(), &dns).await;
    proxy.logged("certificate obtained").await;
    assert_eq!(ca.count(Step::NewOrder), 1);

    std::fs::remove_file(&hook).unwrap();
    certs(&proxy.data(), &["renew", WILDCARD]).await;

    let line = proxy.logged("certificate not obtained").await;
    assert!(
        line.contains(&format!("the hook {hook} cannot be run")),
        "{line}"
    );
    assert_eq!(ca.count(Step::NewOrder), 1, "{line}");
}
