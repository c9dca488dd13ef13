//! Error pages and the maintenance page of a site.

use std::time::Duration;

use proxy::proxy::{MaintenanceOptions, Statuses};
use tempfile::TempDir;

use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::clients::raw::{ask, header};
use crate::harness::service::ServiceSetup;

const GET: &str = "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn errors_of_the_proxy_get_the_sites_pages_and_errors_of_the_app_keep_theirs() {
    let folder = TempDir::new().unwrap();
    let mut setup = ServiceSetup::new();
    for (statuses, name) in [("5xx", "any.html"), ("502", "bad.json")] {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("this is {name}")).unwrap();
        let statuses = Statuses::parse(statuses).unwrap();
        setup.features.error_pages.push((statuses, path));
    }
    let app = Origin::answering("HTTP/1.1 503 No\r\ncontent-length: 5\r\n\r\nclose").await;
    let service = setup
        .site("www.example.org", &[refusing_address().await])
        .site("none.example.org", &[])
        .site("app.example.org", &[app.address])
        .start()
        .await;
    for (host, status, kind, text) in [
        ("www", "502", Some("application/json"), "this is bad.json"),
        (
            "none",
            "503",
            Some("text/html; charset=utf-8"),
            "this is any.html",
        ),
        ("app", "503", None, "close"),
    ] {
        let answer = ask(service.h1, GET.replace("www", host)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert_eq!(header(&answer, "content-type"), kind);
        assert!(answer.ends_with(&format!("\r\n\r\n{text}")), "{answer}");
        let head = ask(service.h1, GET.replace("www", host).replace("GET", "HEAD")).await;
        assert!(host == "app" || head.ends_with("\r\n\r\n"), "{head}");
    }
}

#[tokio::test]
async fn a_site_in_maintenance_answers_with_retry_after_without_its_backend() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("closed.html");
    std::fs::write(&path, "closed").unwrap();
    for (page, text) in [(Some(path), "closed"), (None, "come again later.\n")] {
        let mut origin = Origin::ok().await;
        let mut setup = ServiceSetup::new();
        setup.features.maintenance = Some(MaintenanceOptions {
            page,
            retry_after: Duration::from_secs(90),
        });
        let setup = setup.site("www.example.org", &[origin.address]);
        let answer = ask(setup.start().await.h1, GET).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert_eq!(header(&answer, "retry-after"), Some("90"));
        assert_eq!(header(&answer, "cache-control"), Some("no-store"));
        assert!(answer.ends_with(text), "{answer}");
        assert!(origin.is_quiet());
    }
}
