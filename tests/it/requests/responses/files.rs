//! Static files of a folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proxy::config::{Config, Flags};
use proxy::name::HostPattern;
use proxy::proxy::{Files, Handler, PathPrefix, Rewrite, Route, Routes, Site};
use tempfile::TempDir;

use crate::harness::clients::raw::{ask, header};
use crate::harness::service::{Service, ServiceSetup, empty};

/// A folder with a few files, and a file beside it that must stay secret.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::create_dir_all(root.join("empty")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::create_dir_all(root.join(".well-known")).unwrap();
        for (path, text) in [
            ("root/index.html", "home"),
            ("root/sub/index.html", "sub"),
            ("root/a b.txt", "0123456789"),
            ("root/app.js", "plain"),
            ("root/app.js.gz", "gz"),
            ("root/app.js.br", "br"),
            ("root/lonely.css.gz", "gz"),
            ("root/.env", "secret"),
            ("root/.git/config", "secret"),
            ("root/.well-known/security.txt", "contact"),
            ("outside.txt", "secret"),
        ] {
            fs::write(dir.path().join(path), text).unwrap();
        }
        symlink(dir.path().join("outside.txt"), root.join("absolute.txt")).unwrap();
        symlink("../outside.txt", root.join("relative.txt")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("a b.txt", root.join("inside.txt")).unwrap();
        Self(dir)
    }

    fn files(&self, fallback: Option<&str>) -> Files {
        Files::new(self.0.path().join("root"), fallback.map(str::to_owned))
    }
}

async fn open(route: Route) -> Service {
    let mut setup = ServiceSetup::new();
    setup.sites.push(Site::new(
        HostPattern::parse("www.example.org").unwrap(),
        Routes::new([route]),
    ));
    setup.start().await
}

async fn serve(tree: &Tree) -> Service {
    let handler = Handler::Files(tree.files(None));
    open(Route::new(PathPrefix::root(), handler)).await
}

async fn fetch(service: &Service, path: &str, fields: &[(&str, &str)]) -> Response<Incoming> {
    send(service, Method::GET, path, fields).await
}

async fn send(
    service: &Service,
    method: Method,
    path: &str,
    fields: &[(&str, &str)],
) -> Response<Incoming> {
    let uri = format!("https://www.example.org{path}");
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    service.fetch2(request.body(empty()).unwrap()).await
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn files_are_served_with_their_type_and_length() {
    let tree = Tree::new();
    let service = serve(&tree).await;
    for (path, kind, body) in [
        ("/", "text/html; charset=utf-8", "home"),
        ("/index.html?x=y", "text/html; charset=utf-8", "home"),
        ("/sub/", "text/html; charset=utf-8", "sub"),
        ("/a%20b.txt", "text/plain; charset=utf-8", "0123456789"),
        ("/inside.txt", "text/plain; charset=utf-8", "0123456789"),
        (
            "/.well-known/security.txt",
            "text/plain; charset=utf-8",
            "contact",
        ),
    ] {
        let response = fetch(&service, path, &[]).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], kind, "{path}");
        let length = body.len().to_string();
        assert_eq!(response.headers()["content-length"], length.as_str());
        assert_eq!(text(response).await, body, "{path}");
    }
}

#[tokio::test]
async fn nothing_outside_the_folder_and_nothing_hidden_is_served() {
    let tree = Tree::new();
    let service = serve(&tree).await;
    for path in [
        "/absolute.txt",
        "/relative.txt",
        "/up/outside.txt",
        "/up/root/index.html",
        "/../outside.txt",
        "/sub/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/sub/..%2f..%2foutside.txt",
        "/..\\outside.txt",
        "//etc/passwd",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/empty/",
        "/empty",
        "/index.html/",
        "/index.html/x",
        "/a%20b.txt%00.html",
        "/missing",
        "/lonely.css",
    ] {
        let response = fetch(&service, path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(response.status(), 404, "{path}");
        assert!(!text(response).await.contains("secret"), "{path}");
    }
}

#[tokio::test]
async fn a_folder_with_an_index_redirects_to_its_slash() {
    let tree = Tree::new();
    let prefix = PathPrefix::parse("/static").unwrap();
    let mut route = Route::new(prefix.clone(), Handler::Files(tree.files(None)));
    route.rewrite = Some(Rewrite::strip(prefix));
    let service = open(route).await;
    let response = fetch(&service, "/static/sub?x=y", &[]).await;
    assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(response.headers()["location"], "/static/sub/?x=y");
    let response = fetch(&service, "/static/sub/", &[]).await;
    assert_eq!(text(response).await, "sub");
    let response = fetch(&service, "/static", &[]).await;
    assert_eq!(text(response).await, "home");
}

#[tokio::test]
async fn an_unchanged_file_is_not_sent_again() {
    let tree = Tree::new();
    let service = serve(&tree).await;
    let response = fetch(&service, "/index.html", &[]).await;
    let etag = response.headers()["etag"].to_str().unwrap().to_owned();
    let modified = response.headers()["last-modified"].to_str().unwrap();
    for condition in [
        ("if-none-match", etag.as_str()),
        ("if-modified-since", modified),
    ] {
        let response = fetch(&service, "/index.html", &[condition]).await;
        assert_eq!(response.status(), 304, "{condition:?}");
        assert_eq!(response.headers()["etag"], etag.as_str());
        assert_eq!(text(response).await, "");
    }
    fs::write(tree.0.path().join("root/index.html"), "changed").unwrap();
    let response = fetch(&service, "/index.html", &[("if-none-match", &etag)]).await;
    assert_eq!(text(response).await, "changed");
}

#[tokio::test]
async fn a_range_of_a_file_is_sent_alone() {
    let tree = Tree::new();
    let service = serve(&tree).await;
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, Some("bytes 2-4/10"), "234"),
        ("bytes=-2", 206, Some("bytes 8-9/10"), "89"),
        ("bytes=7-", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=0-1,4-5", 200, None, "0123456789"),
        ("bytes=10-", 416, Some("bytes */10"), ""),
    ] {
        let response = fetch(&service, "/a%20b.txt", &[("range", range)]).await;
        assert_eq!(response.status(), status, "{range}");
        let told = response.headers().get("content-range");
        assert_eq!(told.map(|value| value.to_str().unwrap()), content_range);
        assert_eq!(text(response).await, body, "{range}");
    }
}

#[tokio::test]
async fn a_head_request_gets_the_head_alone_and_other_methods_are_refused() {
    let tree = Tree::new();
    let service = serve(&tree).await;
    let response = send(&service, Method::HEAD, "/a%20b.txt", &[]).await;
    assert_eq!(response.headers()["content-length"], "10");
    assert_eq!(response.headers()["accept-ranges"], "bytes");
    assert_eq!(text(response).await, "");
    for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
        let response = send(&service, method, "/a%20b.txt", &[]).await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET, HEAD");
    }
}

#[tokio::test]
async fn a_precompressed_file_is_sent_to_clients_that_accept_it() {
    let tree = Tree::new();
    let service = serve(&tree).await;
    for (accepted, encoding, body) in [
        ("gzip, br", Some("br"), "br"),
        ("gzip, zstd", Some("gzip"), "gz"),
        ("br;q=0, zstd", None, "plain"),
    ] {
        let response = fetch(&service, "/app.js", &[("accept-encoding", accepted)]).await;
        let told = response.headers().get("content-encoding");
        assert_eq!(told.map(|value| value.to_str().unwrap()), encoding);
        assert_eq!(response.headers()["vary"], "accept-encoding");
        assert_eq!(
            response.headers()["content-type"],
            "text/javascript; charset=utf-8"
        );
        assert_eq!(text(response).await, body, "{accepted}");
    }
}

#[tokio::test]
async fn a_path_without_a_file_gets_the_fallback_if_one_is_set() {
    let tree = Tree::new();
    let handler = Handler::Files(tree.files(Some("index.html")));
    let service = open(Route::new(PathPrefix::root(), handler)).await;
    let response = fetch(&service, "/users/7", &[]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await, "home");
    let response = fetch(&service, "/.env", &[]).await;
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn a_large_file_arrives_whole_over_both_protocols() {
    let tree = Tree::new();
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|index| b'a' + (index % 23) as u8)
        .collect();
    fs::write(tree.0.path().join("root/large.bin"), &bytes).unwrap();
    let service = serve(&tree).await;
    let response = fetch(&service, "/large.bin", &[]).await;
    assert!(text(response).await.as_bytes() == bytes);

    let request = "GET /large.bin HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";
    let answer = ask(service.h1, request).await;
    assert_eq!(header(&answer, "content-length"), Some("3000000"));
    assert!(answer.as_bytes().ends_with(&bytes));
}

#[test]
fn check_reports_a_missing_folder() {
    let text = r#"
        storage = "file:/data"
        [sites]
        "www.example.org" = { files = "missing" }
    "#;
    let flags = Flags::default();
    let config = Config::from_proxyfile(Path::new("/nowhere/Proxyfile"), text, &flags).unwrap();
    let told = config.check_files(&proxy::upstream::SystemRoots::default());
    let told = told.unwrap_err().to_string();
    let sentence = "/nowhere/Proxyfile:4:39: /nowhere/missing is not a readable folder: ";
    assert!(told.starts_with(sentence), "{told}");
    assert_eq!(told.lines().count(), 1);
}

#[test]
fn check_tells_a_file_at_each_place_that_names_it() {
    let text = r#"
        storage = "file:/data"
        access-log = "/nope/folder/log"
        error-pages = { 404 = "page.html" }
        [[issuers]]
        directory = "https://ca.internal/directory"
        root = "ca.pem"
        [sites]
        "a.example.org" = { upstream = "localhost:1", client-auth = "ca.pem", maintenance = "page.html" }
        "b.example.org" = { upstream = "localhost:1", client-auth = { ca = "ca.pem" } }
        "c.example.org" = { upstream = "localhost:1", dns = { exec = "./hook" } }
        "d.example.org" = { upstream = "localhost:1", dns = { exec = "./hook" } }
    "#;
    let flags = Flags::default();
    let config = Config::from_proxyfile(Path::new("/nowhere/Proxyfile"), text, &flags).unwrap();
    let told = config.check_files(&proxy::upstream::SystemRoots::default());
    let told = told.unwrap_err().to_string();
    let expected = [
        (
            "3:22",
            "the access log /nope/folder/log cannot be written: ",
        ),
        ("4:31", "the page /nowhere/page.html cannot be read: "),
        ("7:16", "/nowhere/ca.pem is not a readable PEM file: "),
        (
            "9:69",
            "/nowhere/ca.pem is not a readable PEM file with CA certificates: ",
        ),
        ("9:93", "the page /nowhere/page.html cannot be read: "),
        (
            "10:76",
            "/nowhere/ca.pem is not a readable PEM file with CA certificates: ",
        ),
        ("11:70", "the command /nowhere/./hook does not exist; "),
        ("12:70", "the command /nowhere/./hook does not exist; "),
    ];
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{told}");
    for (line, (place, words)) in lines.iter().zip(expected) {
        let start = format!("/nowhere/Proxyfile:{place}: {words}");
        assert!(line.starts_with(&start), "{line}\n{start}");
    }
}

#[tokio::test]
async fn a_folder_that_has_vanished_is_a_server_error() {
    let tree = Tree::new();
    let service = serve(&tree).await;
    fs::remove_dir_all(tree.0.path().join("root")).unwrap();
    let response = fetch(&service, "/", &[]).await;
    assert_eq!(response.status(), 500);
}
