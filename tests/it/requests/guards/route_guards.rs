//! Access control of routes: it replaces that of the site, and no spelling of a path leads around it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::backends::origin::Origin;
use crate::harness::ca::pki::TestCa;
use crate::harness::clients::https::Client;
use crate::harness::clients::raw::header;
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

const ANNA: &str = "Authorization: Basic YW5uYTpzZWNyZXQ=\r\n";

/// The value of `basic-auth` for the user `anna` with the password `secret`.
fn password() -> String {
    let hash = bcrypt::hash("secret", 4).unwrap();
    format!("{{ users = {{ anna = \"{hash}\" }} }}")
}

/// Starts a proxy whose site `localhost` forwards to `app` and has these keys.
async fn start(setup: ProxySetup, app: &Origin, keys: &str) -> Proxy {
    let text = format!(
        "[sites.\"localhost\"]\nupstream = \"{}\"\n{keys}\n",
        app.address
    );
    setup.proxyfile(&text).start().await
}

async fn ask(client: &Client, proxy: &Proxy, line: &str, fields: &str) -> String {
    let request =
        format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    let client = client.alpn("http/1.1");
    let mut stream = client.connect(proxy.https(), "localhost").await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A close without close_notify is an error, but only after the answer.
    let _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

async fn status(proxy: &Proxy, path: &str, fields: &str) -> u16 {
    let answer = ask(&proxy.client(), proxy, &format!("GET {path}"), fields).await;
    status_of(&answer)
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_replaces_or_takes_away_the_guards_of_its_site() {
    // Given a site with a password, and routes that change its access control.
    let app = Origin::ok().await;
    let password = password();
    let keys = format!(
        "basic-auth = {password}
        max-body = \"5\"
        [sites.localhost.routes]
        \"/public\" = {{ basic-auth = false }}
        \"/inside\" = {{ allow = [\"private\"] }}
        \"/outside\" = {{ basic-auth = false, allow = [\"192.0.2.0/24\"] }}
        \"/never\" = {{ basic-auth = false, deny = [\"127.0.0.1\"] }}
        \"/upload\" = {{ basic-auth = false, max-body = \"10m\" }}
        \"/anything\" = {{ basic-auth = false, max-body = false }}"
    );
    let proxy = start(ProxySetup::new(), &app, &keys).await;
    // When clients ask with and without the password, then the guards of the longest route decide.
    for (path, fields, expected) in [
        ("/", "", 401),
        ("/", ANNA, 200),
        ("/publicity", "", 401),
        ("/public", "", 200),
        ("/public/a", "", 200),
        ("/inside", "", 401),
        ("/inside", ANNA, 200),
        ("/outside", ANNA, 403),
        ("/never", ANNA, 403),
    ] {
        assert_eq!(status(&proxy, path, fields).await, expected, "{path}");
    }
    // And the size of a body is bounded by the route.
    for (path, expected) in [("/public", 413), ("/upload", 200), ("/anything", 200)] {
        let fields = "Content-Length: 6\r\n\r\n123456";
        let line = format!("POST {path}");
        let answer = ask(&proxy.client(), &proxy, &line, fields).await;
        assert_eq!(status_of(&answer), expected, "{path}");
    }
}

/// Spellings of a path that some apps read as `/admin`.
const AROUND_ADMIN: [&str; 27] = [
    "/admin",
    "/admin/x",
    "/ADMIN",
    "/%61dmin",
    "/%41dmin/x",
    "//admin",
    "/./admin",
    "/x/../admin",
    "/x/%2e%2e/Admin",
    "/;x/admin",
    "/admin;x=1",
    "/\\admin",
    "/x/..%5cadmin",
    "http://localhost/admin",
    "/admin%00",
    "/admin%20",
    "/admin%0a/x",
    "/admin%3fx",
    "/admin%23",
    "/admin.",
    "/admin::$DATA",
    "/admin:$I30:$INDEX_ALLOCATION/x",
    "/%u0061dmin",
    "/%c1%a1dmin",
    "/%252561dmin",
    "/%25252561dmin",
    "/%ef%bd%81dmin",
];

/// Spellings of a path that some apps read as one outside of `/open`.
const OUT_OF_OPEN: [&str; 10] = [
    "/open/../admin",
    "/open/%2e%2e/admin",
    "/open/..;/admin",
    "/open%2f..%2fadmin",
    "/open\\..\\admin",
    "/open/..%20/admin",
    "/open/%c0%ae%c0%ae/admin",
    "/opening",
    "/OPEN",
    "*",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_a_path_leads_around_the_guard_of_a_route() {
    // Given an open site with a guarded path, and a guarded site with an open path.
    let mut app = Origin::ok().await;
    let guarded = format!(
        "[sites.localhost.routes]\n\"/admin\" = {{ basic-auth = {} }}",
        password()
    );
    let open = format!(
        "basic-auth = {}\n[sites.localhost.routes]\n\"/open\" = {{ basic-auth = false }}",
        password()
    );
    for (keys, paths) in [(guarded, &AROUND_ADMIN[..]), (open, &OUT_OF_OPEN[..])] {
        let proxy = start(ProxySetup::new(), &app, &keys).await;
        // When a client without the password asks in any spelling, then it is refused.
        for path in paths {
            let method = if *path == "*" { "OPTIONS" } else { "GET" };
            let line = format!("{method} {path}");
            let answer = ask(&proxy.client(), &proxy, &line, "").await;
            let status = status_of(&answer);
            assert!(matches!(status, 400 | 401), "{path}: {answer}");
        }
        assert!(app.is_quiet());
        // And a field that replaces the path in some apps does not reach the app.
        let overrides = "X-Original-URL: /admin\r\nX_Rewrite_Url: /admin\r\n";
        let path = if keys.starts_with("basic") {
            "/open"
        } else {
            "/"
        };
        assert_eq!(status(&proxy, path, overrides).await, 200);
        let seen = app.event().await.to_lowercase();
        assert!(!seen.contains("/admin"), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_of_a_forward_auth_server_cannot_be_forged_on_other_paths() {
    // Given a server that decides about one path, and another path without access control.
    let mut app = Origin::ok().await;
    let server =
        Origin::answering("HTTP/1.1 200 OK\r\nremote-user: anna\r\ncontent-length: 0\r\n\r\n")
            .await;
    let keys = format!(
        "[sites.localhost.routes]
        \"/team\" = {{ forward-auth = {{ url = \"http://{}/\", copy-headers = [\"Remote-User\"] }} }}
        \"/open\" = {{ forward-auth = false }}",
        server.address
    );
    let proxy = start(ProxySetup::new(), &app, &keys).await;
    // When a client sends the field itself, then the app sees it from the server only.
    for (path, user) in [("/team", Some("anna")), ("/open", None), ("/", None)] {
        let forged = "Remote-User: root\r\nremote_user: root\r\n";
        assert_eq!(status(&proxy, path, forged).await, 200);
        let seen = app.event().await;
        assert_eq!(header(&seen, "remote-user"), user, "{path}");
        assert!(!seen.contains("root"), "{path}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_or_a_password_is_enough_where_any_satisfies() {
    // Given a trusted peer that speaks for clients of several networks.
    let mut app = Origin::ok().await;
    let keys = format!(
        "basic-auth = {}
        allow = [\"10.0.0.0/8\"]
        deny = [\"10.6.6.6\", \"203.0.113.0/24\"]
        satisfy = \"any\"
        routes = {{ \"/both\" = {{ satisfy = \"all\" }}, \"/network\" = {{ basic-auth = false }} }}",
        password()
    );
    let text = format!(
        "trust = [\"127.0.0.1\"]\n[sites.localhost]\nupstream = \"{}\"\n{keys}",
        app.address
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    for (client, path, credentials, expected) in [
        ("10.1.1.1", "/", "", 200),
        ("192.0.2.1", "/", "", 401),
        ("192.0.2.1", "/", ANNA, 200),
        ("10.6.6.6", "/", ANNA, 403),
        ("203.0.113.9", "/", ANNA, 403),
        ("10.1.1.1", "/both", "", 401),
        ("192.0.2.1", "/both", ANNA, 403),
        ("10.1.1.1", "/both", ANNA, 200),
        ("10.1.1.1", "/network", "", 200),
        ("192.0.2.1", "/network", ANNA, 403),
    ] {
        let fields = format!("X-Forwarded-For: {client}\r\n{credentials}");
        let found = status(&proxy, path, &fields).await;
        assert_eq!(found, expected, "{client} {path} {credentials}");
        if found == 200 {
            app.event().await;
        }
    }
    // A browser still sends the password at home. The app does not see it, but it sees credentials of its own.
    let at_home = "X-Forwarded-For: 10.1.1.1\r\n";
    for (credentials, is_seen) in [(ANNA, false), ("Authorization: Bearer token\r\n", true)] {
        let fields = format!("{at_home}{credentials}");
        assert_eq!(status(&proxy, "/", &fields).await, 200);
        let seen = app.event().await;
        assert_eq!(header(&seen, "authorization").is_some(), is_seen, "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_requires_a_client_certificate_or_does_without_one() {
    let app = Origin::ok().await;
    let ca = TestCa::root("clients");
    let (certificate, key) = ca.client("alice");
    for (mode, route, guarded, open) in [
        (
            "required",
            "\"/hook\" = { client-auth = false }",
            "/",
            "/hook",
        ),
        (
            "optional",
            "\"/admin\" = { client-auth = \"required\" }",
            "/admin",
            "/",
        ),
    ] {
        // Given a site that asks for certificates, and a route that differs from it.
        let setup = ProxySetup::new();
        setup.file("clients.pem", &ca.pem());
        let keys = format!(
            "client-auth = {{ ca = \"clients.pem\", mode = \"{mode}\" }}\nroutes = {{ {route} }}"
        );
        let proxy = start(setup, &app, &keys).await;
        // When a client comes without a certificate, then it is refused on the paths that need one.
        assert_eq!(status(&proxy, open, "").await, 200, "{mode}");
        let answer = ask(&proxy.client(), &proxy, &format!("GET {guarded}"), "").await;
        assert_eq!(status_of(&answer), 403, "{mode}");
        assert!(answer.contains("needs a client certificate"), "{answer}");
        let alice = proxy.client().identified(&certificate, &key);
        let answer = ask(&alice, &proxy, &format!("GET {guarded}"), "").await;
        assert_eq!(status_of(&answer), 200, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inherited_rate_limit_counts_all_paths_and_an_own_one_only_its_route() {
    // Given a limit of the whole site, a route with another guard, and routes with a limit of their own or none.
    let app = Origin::ok().await;
    let keys = "rate-limit = { requests = 2, per = \"1h\" }
        [sites.localhost.routes]
        \"/other\" = { max-body = \"1k\" }
        \"/login\" = { rate-limit = { requests = 1, per = \"1h\" } }
        \"/free\" = { rate-limit = false }";
    let proxy = start(ProxySetup::new(), &app, keys).await;
    for (path, expected) in [
        ("/", 200),
        ("/other", 200),
        ("/", 429),
        ("/other", 429),
        ("/login", 200),
        ("/login", 429),
        ("/free", 200),
        ("/free", 200),
        ("/free", 200),
    ] {
        assert_eq!(status(&proxy, path, "").await, expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_has_a_request_timeout_of_its_own() {
    // Given a backend that never answers.
    let app = Origin::answering("").await;
    let keys = "request-timeout = \"1h\"\nroutes = { \"/fast\" = { request-timeout = \"100ms\" } }";
    let proxy = start(ProxySetup::new(), &app, keys).await;
    assert_eq!(status(&proxy, "/fast", "").await, 504);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_the_guards_of_a_route() {
    let app = Origin::ok().await;
    let site = |route: &str| {
        format!(
            "[sites.localhost]\nupstream = \"{}\"\nroutes = {{ \"/a\" = {{ {route} }} }}\n",
            app.address
        )
    };
    let setup = ProxySetup::new().proxyfile(&site("allow = [\"private\"]"));
    let mut proxy = setup.start().await;
    assert_eq!(status(&proxy, "/a", "").await, 200);
    proxy.reload(&site("deny = [\"private\"]")).await;
    assert_eq!(status(&proxy, "/a", "").await, 403);
    assert_eq!(status(&proxy, "/", "").await, 200);
}
