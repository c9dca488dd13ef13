//! Rate limits of sites.

use std::time::Duration;

use http::Request;
use proxy::proxy::{GuardOptions, RateLimitOptions, RateScope};

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::{ask, header};
use crate::harness::service::{Service, ServiceSetup, empty};

/// A rate per hour so low that no test sees the next request allowed.
fn hourly(requests: u16, by: RateScope) -> GuardOptions {
    GuardOptions {
        rate_limits: vec![RateLimitOptions {
            requests,
            per: Duration::from_secs(3600),
            burst: requests,
            by,
        }],
        ..GuardOptions::default()
    }
}

async fn get(service: &Service, host: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    ask(service.h1, request).await
}

#[tokio::test]
async fn the_request_after_the_burst_is_refused_with_retry_after() {
    let mut origin = Origin::ok().await;
    let setup = ServiceSetup::new().site("www.example.org", &[origin.address]);
    let service = setup.guarded(&hourly(2, RateScope::Client)).start().await;
    for _ in 0..2 {
        let answer = get(&service, "www.example.org").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        origin.event().await;
    }
    let answer = get(&service, "www.example.org").await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\r\n\r\nToo many requests"), "{answer}");
    let wait: u64 = header(&answer, "retry-after").unwrap().parse().unwrap();
    assert!((1790..=1800).contains(&wait), "{wait}");
    assert!(origin.is_quiet());
}

#[tokio::test]
async fn no_protocol_and_no_spelling_of_the_host_bypasses_the_rate() {
    let mut origin = Origin::ok().await;
    let setup = ServiceSetup::new().site("www.example.org", &[origin.address]);
    let service = setup.guarded(&hourly(1, RateScope::Client)).start().await;
    let answer = get(&service, "www.example.org").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    origin.event().await;
    for host in ["WWW.EXAMPLE.ORG", "www.example.org.", "www.example.org:1"] {
        let answer = get(&service, host).await;
        assert!(answer.starts_with("HTTP/1.1 429 "), "{host}: {answer}");
    }
    // Forged address fields of a client change nothing.
    let request = Request::get("https://www.example.org/").header("x-forwarded-for", "192.0.2.7");
    let answer = service.fetch2(request.body(empty()).unwrap()).await;
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(origin.is_quiet());
}

#[tokio::test]
async fn each_site_has_its_own_rate() {
    let origin = Origin::ok().await;
    let mut setup = ServiceSetup::new();
    for name in ["a.example.org", "b.example.org"] {
        let site = setup.site(name, &[origin.address]);
        setup = site.guarded(&hourly(1, RateScope::Site));
    }
    let service = setup.start().await;
    for (host, status) in [
        ("a.example.org", 200),
        ("a.example.org", 429),
        ("b.example.org", 200),
        ("b.example.org", 429),
    ] {
        let answer = get(&service, host).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{host}: {answer}");
    }
}
