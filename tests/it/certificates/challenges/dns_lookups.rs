//! How the resolver reads the answers of a DNS server.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::ResponseCode;
use proxy::certs::{Resolver, ResolverError, ResolverOptions};
use proxy::dns_client::NameServer;

use crate::harness::dns::server::DnsServer;

const HOME: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn resolver(dns: &DnsServer) -> Resolver {
    Resolver::new(ResolverOptions {
        servers: vec![NameServer::At(dns.address())],
        authority_port: dns.address().port(),
    })
}

#[tokio::test]
async fn a_host_has_its_addresses_of_both_kinds_fresh_each_time() {
    let dns = DnsServer::start();
    dns.a("www.example.org", HOME);
    dns.cname("alias.example.org", "www.example.org");
    let resolver = resolver(&dns);
    let home = IpAddr::from(HOME);
    assert_eq!(resolver.addresses("www.example.org").await.unwrap(), [home]);

    dns.aaaa("www.example.org", "2001:db8::1");

    for name in ["www.example.org", "WWW.example.org.", "alias.example.org"] {
        let found = resolver.addresses(name).await.unwrap();
        assert_eq!(found, [home, "2001:db8::1".parse().unwrap()], "{name}");
    }
}

#[tokio::test]
async fn each_kind_of_missing_answer_is_distinguished() {
    let dns = DnsServer::start();
    dns.txt("text.example.org", &["no address"]);
    dns.code("refused.example.org", ResponseCode::Refused);
    dns.code("broken.example.org", ResponseCode::ServFail);
    let resolver = resolver(&dns);
    for (name, sentence) in [
        (
            "none.example.org",
            "`none.example.org` does not exist in DNS",
        ),
        (
            "text.example.org",
            "DNS has no A or AAAA record for `text.example.org`",
        ),
        (
            "refused.example.org",
            "the DNS server has no answer for `refused.example.org`: Query Refused",
        ),
        (
            "broken.example.org",
            "the DNS server has no answer for `broken.example.org`: Server Failure",
        ),
        ("a..b", "`a..b` is not a valid DNS name"),
    ] {
        let error = resolver.addresses(name).await.unwrap_err();
        assert_eq!(error.to_string(), sentence);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_times_out() {
    let dns = DnsServer::start();
    dns.silent("silent.example.org");
    let error = resolver(&dns).canonical("silent.example.org").await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "no DNS server answered for `silent.example.org` in time"
    );
}

#[tokio::test]
async fn caa_records_are_those_of_the_closest_parent() {
    let dns = DnsServer::start();
    dns.a("a.b.example.org", HOME);
    dns.caa("example.org", Some("letsencrypt.org"));
    dns.caa("org", None);
    let resolver = resolver(&dns);

    let set = resolver.caa("a.b.example.org").await.unwrap().unwrap();

    assert_eq!(set.name, "example.org");
    assert_eq!(set.records[0].tag, "issue");
    assert_eq!(set.records[0].issuer_domain(), "letsencrypt.org");
    let set = resolver.caa("other.org").await.unwrap().unwrap();
    assert_eq!(
        (set.name.as_str(), set.records[0].issuer_domain()),
        ("org", "")
    );
    assert_eq!(resolver.caa("www.example.net").await.unwrap(), None);
    dns.code("b.example.org", ResponseCode::ServFail);
    let error = resolver.caa("a.b.example.org").await;
    assert!(matches!(error, Err(ResolverError::Refused { .. })));
}

#[tokio::test]
async fn a_zone_is_found_from_below_with_all_its_servers() {
    let dns = DnsServer::start();
    dns.ns("example.org", "ns1.example.net");
    dns.ns("example.org", "ns2.example.net");
    dns.a("ns1.example.net", Ipv4Addr::LOCALHOST);
    let zone = resolver(&dns)
        .zone("_acme-challenge.home.example.org")
        .await
        .unwrap();
    assert_eq!(zone.name, "example.org");
    let servers: Vec<_> = zone
        .servers
        .iter()
        .map(|server| (server.name.as_str(), server.addresses.as_slice()))
        .collect();
    let first = [dns.address()];
    assert_eq!(
        servers,
        [("ns1.example.net", &first[..]), ("ns2.example.net", &[])]
    );
}

#[tokio::test]
async fn aliases_are_followed_to_a_name_that_may_not_exist_and_loops_are_detected() {
    let dns = DnsServer::start();
    dns.cname("_acme-challenge.example.org", "one.example.net");
    dns.cname("one.example.net", "two.example.net");
    dns.cname("round.example.org", "round.example.org");
    let resolver = resolver(&dns);
    for (name, end) in [
        ("_acme-challenge.example.org", "two.example.net"),
        ("_acme-challenge.example.com", "_acme-challenge.example.com"),
    ] {
        assert_eq!(resolver.canonical(name).await.unwrap(), end);
    }
    let error = resolver.canonical("round.example.org").await;
    assert!(matches!(error, Err(ResolverError::AliasLoop(_))));
}

#[tokio::test]
async fn text_records_are_asked_from_one_server() {
    let (first, second) = (DnsServer::start(), DnsServer::start());
    first.txt("_acme-challenge.example.org", &["one"]);
    first.txt("_acme-challenge.example.org", &["two ", "parts"]);
    let resolver = resolver(&first);
    for (server, values) in [(&first, &["one", "two parts"][..]), (&second, &[])] {
        let found = resolver
            .txt_at(server.address(), "_acme-challenge.example.org", false)
            .await
            .unwrap();
        assert_eq!(found, values);
    }
}
