//! The admin socket: its permissions, its owner, and its answers to malformed requests.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use crate::harness::admin::ask;
use crate::harness::proxy::{Proxy, ProxySetup, command};

const LOCAL: [&str; 4] = ["--upstream", "localhost:1", "--domain", "localhost"];

async fn get(proxy: &Proxy, path: &str) -> (String, Value) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\n\r\n");
    let answer = ask(&proxy.data().join("admin.sock"), &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.lines().next().unwrap().to_owned();
    (status, serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn the_socket_is_private_to_its_owner_and_removed_with_the_process() {
    let proxy = ProxySetup::new().args(LOCAL).start().await;
    let socket = proxy.data().join("admin.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    proxy.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_run_as_root_leaves_nothing_of_root_in_the_data_directory_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let setup = ProxySetup::new().args(LOCAL);
    std::fs::create_dir(setup.data()).unwrap();
    chown(setup.data(), Some(65534), Some(65534)).unwrap();

    let proxy = setup.start().await;

    let socket = std::fs::metadata(proxy.data().join("admin.sock")).unwrap();
    assert_eq!(socket.uid(), 65534);
    let setup = proxy.stop().await;
    let mut folders = vec![setup.data()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            let owner = (meta.uid(), meta.gid());
            assert_eq!(owner, (65534, 65534), "{}", entry.path().display());
            seen += 1;
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(seen > 3, "the lock file, a folder and its records");
}

#[tokio::test]
async fn answers_are_json_in_pages() {
    let args = [
        "--upstream",
        "localhost:1",
        "--domain",
        "localhost,a.localhost",
    ];
    let mut proxy = ProxySetup::new().args(args).start().await;
    proxy.logged("names=localhost").await;
    let (status, page) = get(&proxy, "/certificates?limit=1").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(page["certificates"][0]["name"], "a.localhost");
    assert_eq!(page["next"], "a.localhost");
    let (_, page) = get(&proxy, "/certificates?limit=1&after=a.localhost").await;
    assert_eq!(page["certificates"][0]["name"], "localhost");
    assert_eq!(page["next"], Value::Null);
    let (_, report) = get(&proxy, "/certificates/localhost").await;
    assert_eq!(report["name"], "localhost");
}

#[tokio::test]
async fn the_socket_of_a_killed_process_is_replaced() {
    let proxy = ProxySetup::new().args(LOCAL).start().await;
    let socket = proxy.data().join("admin.sock");
    let setup = proxy.kill().await;
    assert!(socket.exists());
    let proxy = setup.start().await;
    assert_eq!(get(&proxy, "/certificates").await.0, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_second_process_is_told_to_use_another_socket() {
    let proxy = ProxySetup::new().args(LOCAL).start().await;
    let data = proxy.data();
    let storage = format!("file:{}", data.display());
    let mut second = command();
    second.args(LOCAL).args(["--storage", &storage]);
    second.args([
        "--listen-http",
        "127.0.0.1:0",
        "--listen-https",
        "127.0.0.1:0",
    ]);

    let output = second.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "another proxy listens on the admin socket {}/admin.sock; stop it, or give this proxy its own socket with --admin PATH",
        data.display()
    );
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&expected), "{error}");
    assert_eq!(get(&proxy, "/certificates").await.0, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_path_that_is_too_long_is_an_error_before_anything_starts() {
    let path = format!("/tmp/{}", "x".repeat(110));
    let setup = ProxySetup::new();
    let storage = format!("file:{}", setup.data().display());
    let mut proxy = command();
    proxy
        .args(LOCAL)
        .args(["--storage", &storage, "--admin", &path]);
    proxy.args([
        "--listen-http",
        "127.0.0.1:0",
        "--listen-https",
        "127.0.0.1:0",
    ]);
    let output = proxy.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("has 115 bytes, but a unix socket can have no more than 107; give a shorter path with --admin PATH"),
        "{error}"
    );
}

#[tokio::test]
async fn malformed_requests_are_refused_and_leave_the_socket_usable() {
    let proxy = ProxySetup::new().args(LOCAL).start().await;
    let socket = proxy.data().join("admin.sock");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    for (request, start) in [
        ("\x16\x03\x01\x00\x00", "HTTP/1.1 400"),
        ("GET nothing\r\n\r\n", "HTTP/1.1 400"),
        (&long, "HTTP/1.1 4"),
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404"),
        (
            "DELETE /certificates/a.example HTTP/1.1\r\n\r\n",
            "HTTP/1.1 405",
        ),
        (
            "GET /certificates?limit=-1 HTTP/1.1\r\n\r\n",
            "HTTP/1.1 400",
        ),
        ("GET /certificates/%00 HTTP/1.1\r\n\r\n", "HTTP/1.1 400"),
        ("GET /certificates/..%2f.. HTTP/1.1\r\n\r\n", "HTTP/1.1 400"),
        (
            "GET /certificates/a.example HTTP/1.1\r\n\r\n",
            "HTTP/1.1 404",
        ),
        (
            "POST /certificates/a.example/renew HTTP/1.1\r\n\r\n",
            "HTTP/1.1 409",
        ),
    ] {
        let answer = ask(&socket, request).await;
        assert!(answer.starts_with(start), "{request:.60}: {answer:?}");
    }
    for (body, part) in [
        ("nonsense", "send JSON"),
        (r#"{"reason": "superseded", "x": 1}"#, "send JSON"),
        (r#"{"reason": "boredom"}"#, "`boredom` cannot be used"),
        (&"x".repeat(5000), "send JSON"),
    ] {
        let length = body.len();
        let request = format!(
            "POST /certificates/localhost/revoke HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let answer = ask(&socket, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains(part), "{answer}");
    }
    let (_, unknown) = get(&proxy, "/certificates/a.example").await;
    let expected = "nothing is known about a.example: it has no site and no stored certificate; add it to [sites], or start with --domain";
    assert_eq!(unknown["error"], expected);
}

#[tokio::test]
async fn the_seventeenth_client_waits_until_a_silent_one_is_closed() {
    let proxy = ProxySetup::new().args(LOCAL).start().await;
    let socket = proxy.data().join("admin.sock");
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(UnixStream::connect(&socket).await.unwrap());
    }
    // The silent clients are closed when their time for a head is over, and this one is served.
    assert_eq!(get(&proxy, "/certificates").await.0, "HTTP/1.1 200 OK");
    let mut cut = Vec::new();
    silent[0].read_to_end(&mut cut).await.unwrap();
}
