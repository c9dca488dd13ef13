//! Port 80: challenges, redirects to https, and nothing else.

use crate::harness::backends::web_app::App;
use crate::harness::clients::raw::{ask, header};
use crate::harness::proxy::{Proxy, ProxySetup};

async fn start() -> (Proxy, App) {
    let app = App::start().await;
    let setup = ProxySetup::new().args(["--upstream", &app.address.to_string()]);
    let proxy = setup
        .args(["--domain", "app.localhost", "--domain", "127.0.0.1"])
        .start()
        .await;
    (proxy, app)
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn known_hosts_are_redirected_to_https_with_path_and_query() {
    let (proxy, _app) = start().await;
    let port = proxy.https().port();
    for (host, path, location) in [
        (
            "app.localhost",
            "/a/b?c=d&e",
            format!("https://app.localhost:{port}/a/b?c=d&e"),
        ),
        (
            "APP.localhost:8080",
            "/",
            format!("https://app.localhost:{port}/"),
        ),
        ("127.0.0.1", "/", format!("https://127.0.0.1:{port}/")),
        (
            "app.localhost",
            "//evil.example/",
            format!("https://app.localhost:{port}//evil.example/"),
        ),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = ask(proxy.http(), request).await;
        assert_eq!(status(&answer), "308", "{host}");
        assert_eq!(header(&answer, "location"), Some(location.as_str()));
    }
}

#[tokio::test]
async fn other_hosts_are_not_reflected_and_nothing_is_proxied() {
    let (proxy, _app) = start().await;
    for host in [
        "evil.example",
        "app.localhost@evil.example",
        "",
        "app.localhost, evil.example",
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = ask(proxy.http(), request).await;
        assert!(
            ["404", "400"].contains(&status(&answer)),
            "{host}: {answer}"
        );
        assert!(
            !answer.contains("evil") && !answer.contains("hello"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_token_of_the_apps_own_acme_is_redirected_like_any_path_of_a_known_host() {
    let (proxy, _app) = start().await;
    let path = "/.well-known/acme-challenge/x";
    for (method, host, expected) in [
        ("GET", "app.localhost", "308"),
        ("POST", "app.localhost", "308"),
        ("GET", "evil.example", "404"),
        ("HEAD", "evil.example", "404"),
    ] {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = ask(proxy.http(), request).await;
        assert_eq!(status(&answer), expected, "{method} {host}");
        let url = format!("https://app.localhost:{}{path}", proxy.https().port());
        let location = (expected == "308").then_some(url);
        assert_eq!(header(&answer, "location"), location.as_deref());
    }
}

#[tokio::test]
async fn a_redirect_repeats_the_whole_target_or_is_refused() {
    let (proxy, _app) = start().await;
    let url = format!("https://app.localhost:{}", proxy.https().port());
    for (target, location) in [
        ("/a?`{}|^\\", Some("/a?%60%7B%7D%7C%5E%5C")),
        ("http://app.localhost?a", Some("/?a")),
        ("http://app.localhost", Some("/")),
        ("/dav/#x", None),
        ("/.well-known/acme-challenge/x#y", None),
        ("http://app.localhost#x", None),
        ("app.localhost:80", None),
        ("*", None),
    ] {
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n");
        let answer = ask(proxy.http(), request).await;
        let expected = if location.is_some() { "308" } else { "400" };
        assert_eq!(status(&answer), expected, "{target}: {answer}");
        let location = location.map(|path| format!("{url}{path}"));
        assert_eq!(header(&answer, "location"), location.as_deref(), "{target}");
    }
}
