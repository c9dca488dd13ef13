//! Refused requests with error pages, header changes and the access log, through the whole proxy.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fixtures::{both, quoted};
use crate::harness::backends::origin::{Origin, OriginConnection, refusing_address};
use crate::harness::clients::raw::ask;
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

/// Waits until a log has this number of lines.
async fn lines(path: &Path, count: usize) -> Vec<Value> {
    soon(async {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let whole = text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            let lines: Vec<_> = whole.collect();
            if lines.len() >= count {
                let lines = lines.into_iter();
                return lines
                    .map(|line| serde_json::from_str(line).unwrap())
                    .collect();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

fn status_and_reason(line: &Value) -> (u64, &str) {
    (
        line["status"].as_u64().unwrap(),
        line["reason"].as_str().unwrap_or("-"),
    )
}

/// A proxy whose sites refuse requests in all possible ways.
async fn refusing(
    app: SocketAddr,
    (decider, mute): (SocketAddr, SocketAddr),
) -> (Proxy, std::path::PathBuf) {
    let setup = ProxySetup::new();
    let page = setup.file("page.html", &"<p>sorry</p>".repeat(200));
    let log = setup.file("access.log", "");
    let (log_text, page) = (quoted(&log), quoted(&page));
    let hash = bcrypt::hash("secret", 4).unwrap();
    let (gone, silent) = (refusing_address().await, refusing_address().await);
    let folder = quoted(log.parent().unwrap());
    let proxyfile = format!(
        r#"
access-log = {log_text}
error-pages = {{ 401 = {page}, 4xx = {page}, 5xx = {page} }}
compress = true
[limits]
head-size = "8k"
head-fields = 40
[sites."closed.localhost"]
upstream = "{app}"
maintenance = true
hsts = "1d"
basic-auth = {{ users = {{ anna = "{hash}" }} }}
deny = ["127.0.0.1"]
[sites."secret.localhost"]
upstream = "{app}"
hsts = "1d"
basic-auth = {{ users = {{ anna = "{hash}" }} }}
[sites."foreign.localhost"]
upstream = "{app}"
hsts = "1d"
deny = ["127.0.0.1"]
[sites."busy.localhost"]
upstream = "{app}"
hsts = "1d"
rate-limit = {{ requests = 1, per = "1d", burst = 1 }}
[sites."gone.localhost"]
upstream = "{gone}"
hsts = "1d"
[sites."undecided.localhost"]
upstream = "{app}"
hsts = "1d"
forward-auth = {{ url = "http://{silent}/" }}
[sites."decided.localhost"]
upstream = "{app}"
forward-auth = {{ url = "http://{decider}/" }}
max-body = "3"
[sites."routed.localhost".routes]
"/a" = "{app}"
"/b" = {{ respond = {{ status = 204 }} }}
"/files" = {{ files = {folder} }}
"/slow" = "{mute}"
[sites."routed.localhost"]
request-timeout = "300ms"
[sites."quiet.localhost"]
upstream = "{app}"
access-log = false
"#
    );
    (setup.proxyfile(&proxyfile).start().await, log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_has_the_sites_page_and_its_header_fields() {
    let app = Origin::ok().await;
    let (proxy, log) = refusing(app.address, (app.address, app.address)).await;
    let _first = both(&proxy, ("GET", "busy.localhost", "/"), &[]).await;
    for (host, status, reason, cure) in [
        ("secret.localhost", 401, "unauthorized", "www-authenticate"),
        ("foreign.localhost", 403, "network", "-"),
        ("busy.localhost", 429, "rate-limit", "retry-after"),
        ("gone.localhost", 502, "backend-unreachable", "-"),
        ("undecided.localhost", 503, "forward-auth", "-"),
        ("closed.localhost", 503, "maintenance", "retry-after"),
    ] {
        let before = lines(&log, 2).await.len();
        for seen in both(&proxy, ("GET", host, "/"), &[]).await {
            assert_eq!(seen.status, status, "{host}");
            assert!(seen.body.starts_with(b"<p>sorry</p>"), "{host}");
            assert_eq!(seen.header("content-type"), "text/html; charset=utf-8");
            assert_eq!(seen.header("strict-transport-security"), "max-age=86400");
            assert_eq!(seen.header("cache-control"), "no-store");
            assert!(cure == "-" || seen.header(cure) != "-", "{host}");
        }
        for seen in both(&proxy, ("HEAD", host, "/"), &[("accept-encoding", "br")]).await {
            assert_eq!(seen.status, status, "{host}");
            assert_eq!(seen.header("strict-transport-security"), "max-age=86400");
            assert_eq!(
                (seen.header("content-encoding"), seen.body.len()),
                ("br", 0)
            );
        }
        let lines = lines(&log, before + 4).await;
        for line in &lines[before..] {
            assert_eq!(
                status_and_reason(line),
                (u64::from(status), reason),
                "{line}"
            );
        }
    }
    assert_eq!(
        app.connections(),
        1,
        "only the first request reached the app"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_in_maintenance_checks_no_passwords_and_no_networks() {
    let app = Origin::ok().await;
    let (proxy, _log) = refusing(app.address, (app.address, app.address)).await;
    for seen in both(&proxy, ("GET", "closed.localhost", "/"), &[]).await {
        assert_eq!(seen.status, 503);
        assert_eq!(seen.header("www-authenticate"), "-");
        assert_eq!(seen.header("retry-after"), "300");
    }
}

/// Sends bytes to a site over HTTP/1.1; returns the answer.
async fn say(proxy: &Proxy, host: &str, bytes: &str) -> String {
    let client = proxy.client().alpn("http/1.1");
    let mut stream = client.connect(proxy.https(), host).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = soon(stream.read_to_string(&mut answer)).await;
    answer
}

/// Refused requests by the site whose connection they use, with their status and reason.
fn refused_requests() -> Vec<(&'static str, String, u64, &'static str)> {
    let many = "X: 1\r\n".repeat(60);
    let large = format!("X: {}\r\n", "x".repeat(20_000));
    let get = |host: &str, path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    };
    let routed = "routed.localhost";
    vec![
        (routed, "nonsense\r\n\r\n".to_owned(), 400, "malformed"),
        (
            routed,
            format!("GET / HTTP/1.1\r\nHost: {routed}\r\n{large}\r\n"),
            431,
            "head-too-large",
        ),
        (
            routed,
            format!("GET / HTTP/1.1\r\nHost: {routed}\r\n{many}\r\n"),
            431,
            "head-too-large",
        ),
        (routed, "GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "host"),
        (routed, get("other.example", "/"), 421, "unknown-host"),
        (routed, get("secret.localhost", "/"), 421, "misdirected"),
        (
            routed,
            format!(
                "POST / HTTP/1.1\r\nHost: {routed}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
            ),
            501,
            "transfer-encoding",
        ),
        (routed, get(routed, "*"), 400, "target"),
        (routed, get(routed, "/c"), 404, "no-route"),
        (routed, get(routed, "/files/missing"), 404, "no-file"),
        (
            routed,
            get(routed, "/files/page.html").replace("GET", "PUT"),
            405,
            "file-method",
        ),
        (routed, get(routed, "/slow"), 504, "request-timeout"),
        (routed, get(routed, "/b/../a"), 400, "ambiguous-path"),
        (
            "decided.localhost",
            get("decided.localhost", "/"),
            403,
            "forward-auth-refused",
        ),
        (
            "decided.localhost",
            "POST / HTTP/1.1\r\nHost: decided.localhost\r\nContent-Length: 4\r\n\r\n".to_owned(),
            413,
            "body-size",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_and_requests_without_a_site_are_logged_too() {
    let decider = Origin::answering("HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno").await;
    let app = Origin::ok().await;
    let mute = Origin::start(|mut connection: OriginConnection| async move {
        connection.raw.read_to_end().await;
    })
    .await;
    let deciders = (decider.address, mute.address);
    let (proxy, log) = refusing(app.address, deciders).await;
    for (host, bytes, status, reason) in refused_requests() {
        let before = lines(&log, 0).await.len();
        let answer = say(&proxy, host, &bytes).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{reason}: {answer}"
        );
        let lines = lines(&log, before + 1).await;
        assert_eq!(
            status_and_reason(&lines[before]),
            (status, reason),
            "{answer}"
        );
        assert_eq!(lines[before]["client"], "127.0.0.1");
    }
    assert_eq!(app.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_requests_are_logged_with_their_reasons() {
    let app = Origin::ok().await;
    let (proxy, log) = refusing(app.address, (app.address, app.address)).await;
    let get = |line: &str, host: &str| {
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    };
    for (bytes, status, reason) in [
        (get("GET /x?y", "routed.localhost"), 308, "-"),
        (get("GET /", "other.example"), 404, "unknown-host"),
        (
            get("GET /.well-known/acme-challenge/x", "routed.localhost"),
            308,
            "-",
        ),
        (
            get("GET /.well-known/acme-challenge/x", "other.example"),
            404,
            "unknown-challenge",
        ),
        (get("GET *", "routed.localhost"), 400, "target"),
        ("nonsense\r\n\r\n".to_owned(), 400, "malformed"),
    ] {
        let before = lines(&log, 0).await.len();
        ask(proxy.http(), get("GET /", "quiet.localhost")).await;
        ask(proxy.http(), bytes).await;
        let lines = lines(&log, before + 1).await;
        assert_eq!(status_and_reason(&lines[before]), (status, reason));
    }
    let first = lines(&log, 1).await.remove(0);
    assert_eq!(first["path"], "/x?y");
    assert_eq!(first["host"], "routed.localhost");
}

#[tokio::test]
async fn a_forward_auth_server_can_set_cookies_of_admitted_clients() {
    let decider = Origin::start(|mut connection: OriginConnection| async move {
        while let Some(head) = connection.read_request().await {
            let answer = match head.contains("cookie: session=old") {
                true => "HTTP/1.1 200 OK\r\nset-cookie: session=new; Secure\r\nset-cookie: seen=1\r\ncontent-length: 0\r\n\r\n",
                false => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            };
            connection.raw.send(answer).await;
        }
    })
    .await;
    let app = Origin::answering(
        "HTTP/1.1 200 OK\r\nset-cookie: theme=dark\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let proxyfile = format!(
        "[sites.\"localhost\"]\nupstream = \"{}\"\nforward-auth = {{ url = \"http://{}/\" }}\n",
        app.address, decider.address
    );
    let proxy = ProxySetup::new().proxyfile(&proxyfile).start().await;
    for (session, cookies) in [
        (
            "session=old",
            &["theme=dark", "session=new; Secure", "seen=1"][..],
        ),
        ("session=fresh", &["theme=dark"]),
    ] {
        for seen in both(&proxy, ("GET", "localhost", "/"), &[("cookie", session)]).await {
            let set = seen.headers.get_all("set-cookie").iter();
            let set: Vec<_> = set.map(|value| value.to_str().unwrap()).collect();
            assert_eq!(set, cookies);
            assert_eq!(seen.body, "ok");
        }
    }
}
