//! Routes: which route a request takes, and how the route changes it.

use http::{Request, StatusCode};
use http_body_util::Full;
use proxy::name::HostPattern;
use proxy::proxy::{
    FixedResponse, Handler, PathPrefix, Redirect, RedirectOptions, Rewrite, Route, Routes, Site,
};

use crate::harness::backends::origin::Origin;
use crate::harness::clients::https::read;
use crate::harness::clients::raw::{ask, header};
use crate::harness::proxy::ProxySetup;
use crate::harness::service::{Service, ServiceSetup, empty};

fn prefix(text: &str) -> PathPrefix {
    PathPrefix::parse(text).unwrap()
}

/// Starts a service whose site has these routes.
async fn open(setup: ServiceSetup, routes: Vec<Route>) -> Service {
    let mut setup = setup;
    setup.sites = vec![Site {
        aliases: vec![HostPattern::parse("example.org").unwrap()],
        ..Site::new(
            HostPattern::parse("www.example.org").unwrap(),
            Routes::new(routes),
        )
    }];
    setup.start().await
}

/// Builds routes to these backends, each under its own prefix.
async fn serve(backends: &[(&str, &Origin)]) -> (ServiceSetup, Vec<Route>) {
    let mut setup = ServiceSetup::new();
    for (_, origin) in backends {
        setup = setup.site("unused.example.org", &[origin.address]);
    }
    let routes = backends.iter().zip(&setup.upstreams);
    let routes = routes
        .map(|((path, _), upstream)| Route::new(prefix(path), Handler::Upstream(upstream.clone())))
        .collect();
    (setup, routes)
}

async fn get(service: &Service, path: &str) -> String {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n");
    ask(service.h1, request).await
}

fn target(seen: &str) -> &str {
    seen.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn the_longest_prefix_gets_the_request_with_its_bytes_unchanged() {
    let (mut app, mut api) = (Origin::ok().await, Origin::ok().await);
    let (setup, routes) = serve(&[("/", &app), ("/api/", &api)]).await;
    let service = open(setup, routes).await;
    for path in ["/api", "/api/", "/api/a%2Fb//c?x=../y"] {
        get(&service, path).await;
        assert_eq!(target(&api.event().await), path);
    }
    for path in ["/", "/apix", "/a%2Fb//c/../d?x=/api"] {
        get(&service, path).await;
        assert_eq!(target(&app.event().await), path);
    }
    assert!(app.is_quiet() && api.is_quiet());
}

#[tokio::test]
async fn no_spelling_of_a_path_bypasses_its_route() {
    let (mut app, mut admin) = (Origin::ok().await, Origin::ok().await);
    let (setup, routes) = serve(&[("/", &app), ("/admin", &admin)]).await;
    let service = open(setup, routes).await;
    for path in [
        "/%61dmin",
        "/a/../admin",
        "/a/%2e%2e/admin",
        "//admin",
        "/a%2f..%2fadmin",
        "/\\admin",
        "/admin;x/y",
        "/admin/../x",
        "http://www.example.org/./admin",
    ] {
        let answer = get(&service, path).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
    }
    for path in ["/%61dmin", "//admin"] {
        let uri = format!("https://www.example.org{path}");
        let request = Request::get(uri).body(empty()).unwrap();
        assert_eq!(service.fetch2(request).await.status(), 400, "{path}");
    }
    assert!(app.is_quiet() && admin.is_quiet());
}

#[tokio::test]
async fn a_path_without_a_route_is_a_404() {
    let mut api = Origin::ok().await;
    let (setup, routes) = serve(&[("/api", &api)]).await;
    let service = open(setup, routes).await;
    let answer = get(&service, "/other").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(
        answer.ends_with("There is nothing at this address.\n"),
        "{answer}"
    );
    assert!(api.is_quiet());
}

#[tokio::test]
async fn the_backend_gets_the_rewritten_path() {
    let (mut strip, mut replace) = (Origin::ok().await, Origin::ok().await);
    let (setup, mut routes) = serve(&[("/api/", &strip), ("/v1", &replace)]).await;
    routes[0].rewrite = Some(Rewrite::strip(prefix("/api")));
    routes[1].rewrite = Some(Rewrite::replace(prefix("/v1"), "/v2/").unwrap());
    let service = open(setup, routes).await;
    for (path, rewritten) in [("/api?q", "/?q"), ("/api/x//%2F?q", "/x//%2F?q")] {
        get(&service, path).await;
        let seen = strip.event().await;
        assert_eq!(target(&seen), rewritten);
        assert_eq!(header(&seen, "x-forwarded-prefix"), Some("/api"));
    }
    for (path, rewritten) in [("/v1", "/v2"), ("/v1/x?q", "/v2/x?q")] {
        get(&service, path).await;
        let seen = replace.event().await;
        assert_eq!(target(&seen), rewritten);
        assert_eq!(header(&seen, "x-forwarded-prefix"), None);
    }
}

#[tokio::test]
async fn a_route_redirects_with_the_rest_of_the_path() {
    let options = RedirectOptions {
        status: 302,
        ..RedirectOptions::new("https://{host}/shop{path}?{query}")
    };
    let old = Redirect::new(&RedirectOptions::new("/new"), &prefix("/old")).unwrap();
    let shop = Redirect::new(&options, &prefix("/cart")).unwrap();
    let routes = vec![
        Route::new(prefix("/old"), Handler::Redirect(old)),
        Route::new(prefix("/cart"), Handler::Redirect(shop)),
    ];
    let service = open(ServiceSetup::new(), routes).await;
    for (path, status, location) in [
        ("/old/a?b", "308", "/new/a?b"),
        ("/cart?a=b", "302", "https://www.example.org/shop/cart?a=b"),
        ("/cart/1", "302", "https://www.example.org/shop/cart/1"),
    ] {
        let answer = get(&service, path).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert_eq!(header(&answer, "location"), Some(location));
    }
}

#[tokio::test]
async fn a_fixed_response_is_the_same_over_both_protocols() {
    let gone = FixedResponse::new(410, "gone\n", "text/html").unwrap();
    let service = open(
        ServiceSetup::new(),
        vec![Route::new(prefix("/"), Handler::Respond(gone))],
    )
    .await;
    let answer = get(&service, "/x").await;
    assert!(answer.starts_with("HTTP/1.1 410 "), "{answer}");
    assert_eq!(header(&answer, "content-type"), Some("text/html"));
    assert!(answer.ends_with("\r\n\r\ngone\n"), "{answer}");

    let head = Request::head("https://example.org/").body(empty()).unwrap();
    let response = service.fetch2(head).await;
    assert_eq!(response.headers()["content-length"], "5");
    let answer = read(response).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (410, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_are_set_by_the_proxyfile() {
    let mut api = Origin::ok().await;
    let file = format!(
        r#"
        [sites."localhost"]
        respond = {{ body = "home" }}
        aliases = ["other.localhost"]
        response-headers = {{ set = {{ X-Site = "{{host}}" }} }}
        routes = {{ "/api/" = {{ upstream = "{}", strip-prefix = true }}, "/old" = {{ redirect = "/new" }} }}
        "#,
        api.address
    );
    let proxy = ProxySetup::new().proxyfile(&file).start().await;
    let client = proxy.client();
    let home = client.get(proxy.https(), "other.localhost", "/").await;
    assert_eq!(
        (home.status, &home.body[..]),
        (StatusCode::OK, &b"home"[..])
    );

    let got = client.get2(proxy.https(), "localhost", "/api/x?y").await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(target(&api.event().await), "/x?y");

    let request = Request::get("/old/a").header("host", "localhost");
    let mut sender = client.http1(proxy.https(), "localhost").await;
    let moved = sender.send_request(request.body(Full::default()).unwrap());
    let moved = moved.await.unwrap();
    assert_eq!(moved.headers()["location"], "/new/a");
    assert_eq!(moved.headers()["x-site"], "localhost");
}
