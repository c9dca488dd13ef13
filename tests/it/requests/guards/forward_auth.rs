//! Forward authentication: another server such as oauth2-proxy or Authelia decides about requests.

use std::time::Duration;

use ::proxy::proxy::{ForwardAuthOptions, GuardOptions};
use ::proxy::upstream::Address;
use http::Request;
use http::header::HeaderName;
use http_body_util::BodyExt;

use crate::harness::backends::nginx::Nginx;
use crate::harness::backends::origin::{Origin, OriginConnection, refusing_address};
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::raw::{ask, header};
use crate::harness::proxy;
use crate::harness::service::{Service, ServiceSetup, empty};

const USER: &str = "x-auth-request-user";

fn asking(server: std::net::SocketAddr) -> GuardOptions {
    GuardOptions {
        forward_auth: Some(ForwardAuthOptions {
            url: format!("http://{server}/oauth2/auth"),
            address: Address::parse(&server.to_string()).unwrap(),
            target: "/oauth2/auth".parse().unwrap(),
            copy_headers: vec![HeaderName::from_static(USER)],
            timeout: Duration::from_secs(5),
        }),
        ..GuardOptions::default()
    }
}

/// Starts a service in front of `app`; `server` decides about its requests.
async fn serve(app: &Origin, server: std::net::SocketAddr) -> Service {
    let setup = ServiceSetup::new().site("www.example.org", &[app.address]);
    setup.guarded(&asking(server)).start().await
}

fn has_cookie(head: &str, cookie: &str) -> bool {
    let cookies = header(head, "cookie").unwrap_or_default();
    cookies.split("; ").any(|found| found == cookie)
}

/// The answers of a login server: without a session it redirects to the login, whose callback sets the session.
fn login(head: &str) -> String {
    let target = head.split(' ').nth(1).unwrap();
    let redirect = |to: &str, cookie: &str| {
        format!(
            "HTTP/1.1 302 Found\r\nlocation: {to}\r\nset-cookie: {cookie}; Secure\r\ncontent-length: 0\r\n\r\n"
        )
    };
    let forbidden = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    match target.split_once('?').unwrap_or((target, "")) {
        ("/oauth2/auth", _) if has_cookie(head, "session=anna") => format!(
            "HTTP/1.1 202 Accepted\r\n{USER}: anna\r\nx-secret: 1\r\ncontent-length: 2\r\n\r\nok"
        ),
        ("/oauth2/auth", _) => {
            let part = |name| header(head, name).unwrap();
            let back = [
                part("x-forwarded-proto"),
                "://",
                part("x-forwarded-host"),
                part("x-forwarded-uri"),
            ];
            let to = format!(
                "https://auth.example.org/oauth2/callback?rd={}",
                back.concat()
            );
            redirect(&to, "csrf=7")
        }
        ("/oauth2/callback", query) if has_cookie(head, "csrf=7") => {
            redirect(query.strip_prefix("rd=").unwrap(), "session=anna")
        }
        _ => forbidden.to_owned(),
    }
}

async fn login_server() -> Origin {
    Origin::start(|mut connection: OriginConnection| async move {
        while let Some(head) = connection.read_request().await {
            connection.raw.send(login(&head)).await;
        }
    })
    .await
}

/// Requests a URL with the cookies of a browser.
async fn browse(service: &Service, url: &str, cookie: &str) -> String {
    let rest = url.strip_prefix("https://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    );
    ask(service.h1, request).await
}

#[tokio::test]
async fn after_a_login_the_visitor_returns_and_the_app_gets_the_identity() {
    let (mut app, server) = (Origin::ok().await, login_server().await);
    let setup = ServiceSetup::new()
        .site("www.example.org", &[app.address])
        .guarded(&asking(server.address))
        .site("auth.example.org", &[server.address]);
    let service = setup.start().await;

    let page = "https://www.example.org/inbox?page=2";
    let first = browse(&service, page, "theme=dark").await;
    assert!(first.starts_with("HTTP/1.1 302 "), "{first}");
    assert_eq!(header(&first, "set-cookie"), Some("csrf=7; Secure"));
    assert!(app.is_quiet());

    let callback = header(&first, "location").unwrap();
    let second = browse(&service, callback, "csrf=7").await;
    assert!(second.starts_with("HTTP/1.1 302 "), "{second}");
    assert_eq!(header(&second, "set-cookie"), Some("session=anna; Secure"));
    assert_eq!(header(&second, "location"), Some(page));

    let third = browse(&service, page, "theme=dark; session=anna").await;
    assert!(third.starts_with("HTTP/1.1 200 "), "{third}");
    let seen = app.event().await;
    assert!(seen.starts_with("GET /inbox?page=2 "), "{seen}");
    assert_eq!(header(&seen, USER), Some("anna"));
    assert_eq!(header(&seen, "x-secret"), None);
    assert!(has_cookie(&seen, "theme=dark"), "{seen}");
}

#[tokio::test]
async fn clients_cannot_set_the_copied_fields() {
    let (mut app, server) = (Origin::ok().await, login_server().await);
    let service = serve(&app, server.address).await;
    let request = "GET / HTTP/1.1\r\nHost: www.example.org\r\nCookie: session=anna\r\n\
        X-Auth-Request-User: root\r\nX_Auth_Request_User: root\r\nx-auth-request_user: root\r\n\
        Connection: close, x-auth-request-user\r\n\r\n";
    let answer = ask(service.h1, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = app.event().await;
    assert_eq!(header(&seen, USER), Some("anna"));
    assert!(!seen.contains("root"), "{seen}");
}

#[tokio::test]
async fn copied_fields_that_the_server_does_not_send_are_removed() {
    let mut app = Origin::ok().await;
    let server = Origin::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let service = serve(&app, server.address).await;
    let request = Request::get("https://www.example.org/")
        .header(USER, "root")
        .header("x_auth_request_user", "root");
    let answer = service.fetch2(request.body(empty()).unwrap()).await;
    assert_eq!(answer.status(), 200);
    let seen = app.event().await;
    assert!(!seen.contains("root"), "{seen}");
}

#[tokio::test]
async fn the_authorization_request_describes_the_request_without_its_body() {
    let mut app = Origin::ok().await;
    let mut server = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let service = serve(&app, server.address).await;
    let request = "PUT /a/../b?c=%2e HTTP/1.1\r\nHost: www.example.org\r\nCookie: a=1\r\n\
        Authorization: Bearer b\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Uri: /free\r\n\
        X-Forwarded-Method: GET\r\nIf-None-Match: \"e\"\r\nContent-Length: 5\r\n\
        Connection: close\r\n\r\nhello";
    let answer = ask(service.h1, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let question = server.event().await;
    assert!(
        question.starts_with("GET /oauth2/auth HTTP/1.1\r\n"),
        "{question}"
    );
    let host = server.address.to_string();
    for (name, value) in [
        ("x-forwarded-method", Some("PUT")),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-host", Some("www.example.org")),
        ("x-forwarded-uri", Some("/a/../b?c=%2e")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("cookie", Some("a=1")),
        ("authorization", Some("Bearer b")),
        ("host", Some(host.as_str())),
        ("content-length", None),
        ("if-none-match", None),
        ("connection", None),
    ] {
        assert_eq!(header(&question, name), value, "{name}: {question}");
    }
    let seen = app.event().await;
    assert!(seen.ends_with("\r\n\r\nhello"), "{seen}");
    assert_eq!(header(&seen, "authorization"), Some("Bearer b"));
    assert_eq!(header(&seen, "x-forwarded-uri"), None);
}

#[tokio::test]
async fn a_refusal_is_passed_on_unchanged() {
    let mut app = Origin::ok().await;
    let refusal = "HTTP/1.1 403 Forbidden\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
        keep-alive: timeout=5\r\ncontent-type: text/html\r\ncontent-length: 7\r\n\r\nno way!";
    let server = Origin::answering(refusal).await;
    let service = serve(&app, server.address).await;
    let request = "GET / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";
    let answer = ask(service.h1, request).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nno way!"), "{answer}");
    assert_eq!(header(&answer, "content-type"), Some("text/html"));
    assert_eq!(header(&answer, "keep-alive"), None);

    let request = Request::get("https://www.example.org/").body(empty());
    let answer = service.fetch2(request.unwrap()).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "no way!");

    let answer = ask(service.h1, request_of("HEAD")).await;
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(header(&answer, "content-length"), Some("7"));
    assert!(app.is_quiet());
    assert_eq!(server.connections(), 1);
}

fn request_of(method: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn all_requests_are_refused_while_the_server_is_down() {
    let mut app = Origin::ok().await;
    let switching =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let switching = Origin::answering(switching).await;
    let broken = Origin::answering("HTTP/1.1 2oo OK\r\n\r\n").await;
    let silent = Origin::answering("").await;
    for server in [
        refusing_address().await,
        switching.address,
        broken.address,
        silent.address,
    ] {
        let mut options = asking(server);
        let forward_auth = options.forward_auth.as_mut().unwrap();
        forward_auth.timeout = Duration::from_millis(200);
        let setup = ServiceSetup::new().site("www.example.org", &[app.address]);
        let service = setup.guarded(&options).start().await;
        let answer = ask(service.h1, request_of("GET")).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("cannot be checked"), "{answer}");
    }
    assert!(app.is_quiet());
}

#[tokio::test]
async fn an_https_server_is_verified_by_the_systems_roots_which_a_reload_reads_again() {
    let ca = TestCa::root("deciders");
    let lines = format!("location = /verify {{ add_header {USER} anna; return 204; }}");
    let nginx = Nginx::start(&ca, &lines).await;
    let mut app = Origin::ok().await;
    let text = format!(
        "[sites.\"localhost\"]\nupstream = \"{}\"\nforward-auth = {{ url = \"{}/verify\", copy-headers = [\"{USER}\"] }}\n",
        app.address,
        nginx.url()
    );
    let setup = proxy::ProxySetup::new();
    let roots = setup.file("roots.pem", &TestCa::root("others").pem());
    let setup = setup.system_roots(&roots).proxyfile(&text);
    let mut proxy = setup.start().await;
    let status = |proxy: &proxy::Proxy| {
        let (client, https) = (proxy.client(), proxy.https());
        async move { client.get(https, "localhost", "/").await.status }
    };
    assert_eq!(status(&proxy).await, 503);
    assert!(app.is_quiet());
    proxy.logged("cannot be verified").await;

    std::fs::write(&roots, ca.pem()).unwrap();
    proxy.reload(&text).await;

    assert_eq!(status(&proxy).await, 200);
    assert_eq!(header(&app.event().await, USER), Some("anna"));
}
