//! WebDAV at a real Apache: COPY and MOVE name their target by a URL, which the backend must find on itself.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use proxy::name::HostPattern;
use proxy::proxy::{Handler, PathPrefix, Rewrite, Route, Routes, Site};
use proxy::tasks::Tasks;
use proxy::upstream::{Address, BackendHost, Options, TlsOptions, Upstream, UpstreamContext};

use crate::harness::backends::apache::Apache;
use crate::harness::ca::pki::TestCa;
use crate::harness::service::{Service, ServiceSetup, empty};

const DAV: &str =
    "DavLockDB {dir}/locks\n<Directory {dir}/www>\nDav On\nRequire all granted\n</Directory>";
const TLS: &str =
    "SSLEngine on\nSSLCertificateFile {dir}/cert.pem\nSSLCertificateKeyFile {dir}/key.pem";

/// A service whose routes `/dav` and `/dav/secret` lead to the folder at `address`.
async fn serve(address: &str, options: Options) -> Service {
    let context = UpstreamContext::new(Tasks::new());
    let address = Address::parse(address).unwrap();
    let upstream = Arc::new(Upstream::new(vec![address], options, &context).unwrap());
    let route = |path: &str| {
        let prefix = PathPrefix::parse(path).unwrap();
        let mut route = Route::new(prefix.clone(), Handler::Upstream(Arc::clone(&upstream)));
        let folder = path.trim_start_matches("/dav");
        route.rewrite = Some(
            Rewrite::replace(prefix, &format!("/{}", folder.trim_start_matches('/'))).unwrap(),
        );
        route
    };
    let routes = Routes::new([route("/dav"), route("/dav/secret")]);
    let mut setup = ServiceSetup::new();
    let pattern = HostPattern::parse("www.example.org").unwrap();
    setup.sites.push(Site {
        routes,
        ..Site::new(pattern, Handler::Upstream(Arc::clone(&upstream)))
    });
    setup.upstreams.push(upstream);
    setup.start().await
}

async fn transfer(service: &Service, method: &str, destination: &str) -> Response<Incoming> {
    let request = Request::builder()
        .method(method)
        .uri("https://www.example.org/dav/a.txt")
        .header("host", "www.example.org")
        .header("destination", destination);
    service.fetch1(request.body(empty()).unwrap()).await
}

#[tokio::test]
async fn a_file_is_copied_and_moved_below_a_prefix_that_the_backend_does_not_know() {
    for (tls, host) in [
        (false, BackendHost::Client),
        (true, BackendHost::Client),
        (false, BackendHost::Upstream),
    ] {
        // Given an Apache with WebDAV, over plain HTTP or TLS.
        let modules = ["dav", "dav_fs", "ssl", "socache_shmcb"];
        let lines = format!("{DAV}\n{}", if tls { TLS } else { "" });
        let apache = Apache::start(&TestCa::root("backends"), &modules, &lines).await;
        std::fs::write(apache.www().join("a.txt"), "text").unwrap();
        let mut options = Options::default();
        options.http.host = host;
        options.tls = TlsOptions {
            is_insecure: tls,
            ..TlsOptions::default()
        };
        let scheme = if tls { "https" } else { "http" };
        let service = serve(&format!("{scheme}://{}", apache.address), options).await;

        // When the client names targets as it sees them, Apache finds them.
        let target = "https://www.example.org/dav/b%20c.txt";
        let response = transfer(&service, "COPY", target).await;
        assert_eq!(response.status(), 201, "COPY, TLS: {tls}");
        assert!(apache.www().join("b c.txt").exists());
        let response = transfer(&service, "MOVE", "/dav/d.txt").await;
        assert_eq!(response.status(), 201, "MOVE, TLS: {tls}");
        assert!(apache.www().join("d.txt").exists());
        assert!(!apache.www().join("a.txt").exists());
    }
}

#[tokio::test]
async fn a_target_on_another_host_or_in_another_route_is_refused() {
    let apache = Apache::start(&TestCa::root("backends"), &["dav", "dav_fs"], DAV).await;
    std::fs::write(apache.www().join("a.txt"), "text").unwrap();
    let service = serve(&format!("http://{}", apache.address), Options::default()).await;
    let elsewhere = "https://other.example/dav/b.txt";
    let other = transfer(&service, "MOVE", elsewhere).await;
    assert_eq!(other.status(), 502, "by Apache");
    assert!(other.headers().contains_key("server"), "{other:?}");
    let secret = "https://www.example.org/dav/secret";
    for method in ["MOVE", "move", "POST"] {
        let refused = transfer(&service, method, secret).await;
        assert_eq!(refused.status(), 403, "{method}");
    }
    let hidden = "https://www.example.org/dav/%73ecret";
    assert_eq!(transfer(&service, "MOVE", hidden).await.status(), 400);
    assert!(apache.www().join("a.txt").exists());
}
