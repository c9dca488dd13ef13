//! Sockets that were bound before the proxy was started, by systemd or another launcher.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncReadExt;

use crate::harness::clients::http3::Http3;
use crate::harness::clients::https::Client;
use crate::harness::deadline::soon;
use crate::harness::ports::Reservation;
use crate::harness::proxy::{ProxySetup, command};
use crate::harness::skip::skip;

const SITE: &str =
    "[sites]\nlocalhost = { respond = { body = \"hello\" }, listen = [\"default\", \"lan\"] }\n";

/// A socket as systemd binds it: without the options of the proxy's own.
fn bound() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passed_sockets_go_to_listeners_by_address_and_by_name() {
    let ((by_address, first), (by_name, second), (unwanted, third)) = (bound(), bound(), bound());
    let own = Reservation::new().address();
    // A client that comes before the proxy runs is served, too.
    let early = tokio::net::TcpStream::connect(first).await.unwrap();
    let text = format!(
        "[listen]\nhttp = \"{own}\"\nhttps = [\"{first}\", {{ name = \"lan\", address = \"127.0.0.1:1\" }}]\n{SITE}"
    );
    let setup = ProxySetup::new().addresses_by_file().proxyfile(&text);
    let setup = setup.pass("proxy.socket", by_address).pass("lan", by_name);
    let mut proxy = setup.pass("other", unwanted).start().await;

    let client = proxy.client();
    for address in [first, second] {
        assert_eq!(client.get(address, "localhost", "/").await.body, "hello");
    }
    let early = client.over(early, "localhost").await;
    assert!(early.is_ok(), "{early:?}");

    let line = proxy
        .logged("no listener has the address or the name of this passed socket")
        .await;
    assert!(
        line.contains("other") && line.contains(&third.to_string()),
        "{line}"
    );
    assert!(tokio::net::TcpStream::connect(third).await.is_err());
    let line = proxy.logged("no passed socket is for this listener").await;
    assert!(line.contains(&own.to_string()), "{line}");
    assert!(tokio::net::TcpStream::connect(own).await.is_ok());

    // An upgrade hands them on.
    proxy.upgrade().await;
    assert!(proxy.first_ended().await.success());
    for address in [first, second] {
        assert_eq!(client.get(address, "localhost", "/").await.body, "hello");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passed_udp_socket_serves_http3_also_after_an_upgrade() {
    let (socket, address) = bound();
    let udp = UdpSocket::bind(address).unwrap();
    let text = format!("[listen]\nhttp = \"127.0.0.1:0\"\nhttps = \"{address}\"\n{SITE}");
    let text = text.replace(", listen = [\"default\", \"lan\"]", "");
    let setup = ProxySetup::new().addresses_by_file().proxyfile(&text);
    let setup = setup.pass("proxy.socket", socket).pass("proxy.socket", udp);
    let mut proxy = setup.start().await;
    assert!(!proxy.log().contains("cannot be bound"), "{}", proxy.log());

    let client = proxy.client();
    for is_upgraded in [false, true] {
        if is_upgraded {
            proxy.upgrade().await;
            assert!(proxy.first_ended().await.success());
        }
        client.connect(address, "localhost").await.unwrap();
        for _ in 0..8 {
            let http3 = Http3::open(&client, address, "localhost").await;
            assert_eq!(http3.unwrap().get("/").await.body, "hello");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_tcp_socket_is_told_and_left_alone() {
    let (one, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let text = "[sites]\nlocalhost = { respond = { body = \"hello\" } }\n";
    let setup = ProxySetup::new().proxyfile(text).pass("http", one);
    let mut proxy = setup.start().await;
    let line = proxy.logged("a passed socket cannot be used").await;
    assert!(line.contains("ListenStream="), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_starts_the_proxy_for_its_first_client() {
    let program = "/usr/bin/systemd-socket-activate";
    if !Path::new(program).exists() {
        return skip("systemd-socket-activate is not installed");
    }
    let dir = tempfile::TempDir::new().unwrap();
    let [http, https] = [(); 2].map(|()| Reservation::new().address());
    let (http_text, https_text) = (http.to_string(), https.to_string());
    let storage = format!("file:{}", dir.path().display());
    let binary = command().as_std().get_program().to_owned();
    let mut launcher = tokio::process::Command::new(program);
    launcher
        .args(["-l", &http_text, "-l", &https_text, "--fdname=http:https"])
        .arg(binary)
        .args([
            "--upstream",
            "localhost:1",
            "--domain",
            "localhost",
            "--storage",
            &storage,
        ])
        .args(["--listen-http", &http_text, "--listen-https", &https_text])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut launched = launcher.spawn().unwrap();
    let first = soon(async {
        loop {
            match tokio::net::TcpStream::connect(https).await {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    let mut ready = vec![0; 200];
    let len = soon(launched.stdout.as_mut().unwrap().read(&mut ready))
        .await
        .unwrap();
    let ready = String::from_utf8_lossy(&ready[..len]).into_owned();
    assert_eq!(ready, format!("ready http={http} https={https}\n"));
    let root = dir.path().join("internal-ca/root.pem");
    let client = Client::new(&std::fs::read_to_string(root).unwrap());
    soon(client.over(first, "localhost")).await.unwrap();
}
