//! Listeners and logs that a reload changes.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::fixtures::{send, versioned};
use crate::harness::backends::origin::Origin;
use crate::harness::backends::web_app::App;
use crate::harness::clients::raw::RawStream;
use crate::harness::deadline::soon;
use crate::harness::ports::Reservation;
use crate::harness::proxy::ProxySetup;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_are_added_and_removed_and_open_connections_stay() {
    let app = App::start().await;
    let ports: Vec<_> = (0..4).map(|_| Reservation::new()).collect();
    let [http, https, new_http, new_https] =
        [0, 1, 2, 3].map(|index: usize| ports[index].address());
    drop(ports);
    let text = |http, https| {
        format!("[listen]\nhttp = \"{http}\"\nhttps = \"{https}\"\n") + &versioned(app.address, 1)
    };
    let setup = ProxySetup::new().addresses_by_file();
    let mut proxy = setup.proxyfile(&text(http, https)).start().await;
    let client = proxy.client();
    let mut sender = client.http1(https, "localhost").await;

    // If one address is taken, the other one is not opened either.
    let other = Origin::ok().await;
    let taken = other.address;
    let line = proxy.reload(&text(new_http, taken)).await;
    assert!(
        line.contains(&format!("{taken} is in use by another program")),
        "{line}"
    );
    assert!(TcpStream::connect(new_http).await.is_err());

    let line = proxy.reload(&text(new_http, new_https)).await;
    assert!(line.contains("configuration reloaded"), "{line}");
    assert_eq!(client.get2(new_https, "localhost", "/").await.body, "hello");
    assert_eq!(send(&mut sender, "localhost").await.status(), 200);
    let location = redirect(new_http).await;
    assert!(location.starts_with(&format!("https://localhost:{}", new_https.port())));
    for gone in [http, https] {
        // The listeners of all workers are told at once; each closes when its worker gets to it.
        soon(async { while TcpStream::connect(gone).await.is_ok() {} }).await;
    }
    let line = proxy.reload(&text(http, https)).await;
    assert!(line.contains("configuration reloaded"), "{line}");
    assert_eq!(client.get(https, "localhost", "/").await.body, "hello");
    assert_eq!(send(&mut sender, "localhost").await.status(), 200);
}

/// Returns the target of the plain HTTP redirect.
async fn redirect(http: SocketAddr) -> String {
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = crate::harness::clients::raw::ask(http, request).await;
    crate::harness::clients::raw::header(&answer, "location")
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_go_to_the_current_log_and_the_level_changes() {
    let app = App::start().await;
    let logged = |version, file: &str, level: &str| {
        format!(
            "access-log = \"{file}\"\n{}[log]\nlevel = \"{level}\"\n",
            versioned(app.address, version)
        )
    };
    let mut proxy = ProxySetup::new()
        .proxyfile(&logged(1, "one.log", "info"))
        .start()
        .await;
    let one = proxy.data().with_file_name("one.log");
    let mut sender = proxy.client().http1(proxy.https(), "localhost").await;
    send(&mut sender, "localhost").await;
    let mut plain = RawStream::connect(proxy.http()).await;
    let redirected = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    plain.send(redirected).await;
    plain.read_head().await.unwrap();
    proxy.reload(&logged(2, "two.log", "debug")).await;
    plain.send(redirected).await;
    plain.read_head().await.unwrap();
    for _ in 0..3 {
        send(&mut sender, "localhost").await;
    }
    proxy.client().get(proxy.https(), "localhost", "/").await;
    let stranger = proxy.client().connect(proxy.https(), "b.localhost").await;
    stranger.unwrap_err();
    proxy.logged("DEBUG").await;
    let setup = proxy.stop().await;
    let lines = |path: &std::path::Path| std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!(lines(&one), 2);
    assert_eq!(lines(&setup.data().with_file_name("two.log")), 5);
}
