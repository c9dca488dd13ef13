//! Hosts: which site a request reaches, and requests that reach none.

use http::Request;
use proxy::name::{HostName, HostPattern};
use proxy::proxy::{Handler, Redirect, Site};

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{ask, header};
use crate::harness::service::{ServiceSetup, empty, serve};

#[tokio::test]
async fn hosts_without_a_site_are_never_proxied() {
    let mut origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    let request = "GET / HTTP/1.1\r\nHost: other.example.org\r\nConnection: close\r\n\r\n";
    let answer = ask(service.h1, request).await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    let request = Request::get("https://other.example.org/")
        .body(empty())
        .unwrap();
    assert_eq!(service.fetch2(request).await.status(), 421);
    assert!(origin.is_quiet());
}

#[tokio::test]
async fn a_connection_carries_only_requests_for_its_own_site() {
    let (mut shop, mut admin) = (Origin::ok().await, Origin::ok().await);
    let mut setup = ServiceSetup::new()
        .site("*.shop.example.org", &[shop.address])
        .site("admin.example.org", &[admin.address]);
    setup.sni = Some(HostName::parse("a.shop.example.org").unwrap());
    let service = setup.start().await;
    for (host, status) in [
        ("a.shop.example.org", 200),
        ("b.shop.example.org", 200),
        ("admin.example.org", 421),
    ] {
        let request = Request::get(format!("https://{host}/"))
            .body(empty())
            .unwrap();
        assert_eq!(service.fetch2(request).await.status(), status, "{host}");
    }
    shop.event().await;
    shop.event().await;
    assert!(admin.is_quiet());
}

#[tokio::test]
async fn a_moved_site_redirects_with_path_and_query() {
    let mut setup = ServiceSetup::new();
    let moved = Redirect::parse("https://www.example.org").unwrap();
    let pattern = HostPattern::parse("example.org").unwrap();
    setup
        .sites
        .push(Site::new(pattern, Handler::Redirect(moved)));
    let service = setup.start().await;
    let request = "POST /a?b=c HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n";
    let answer = ask(service.h1, request).await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert_eq!(
        header(&answer, "location"),
        Some("https://www.example.org/a?b=c")
    );
}
