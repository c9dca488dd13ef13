//! A reload that adds and removes listeners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use proxy::tasks::Tasks;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::harness::backends::origin::Origin;
use crate::harness::clients::https::{Client, read};
use crate::harness::deadline::soon;
use crate::harness::ports::{ProxyPorts, Reservation};
use crate::harness::proxy::ProxySetup;

/// Returns the status of the answer to a request for a host on an open connection.
async fn status_of(sender: &mut SendRequest<Full<Bytes>>, host: &str) -> StatusCode {
    let request = Request::get(format!("https://{host}/")).body(Full::default());
    let answer = soon(sender.send_request(request.unwrap())).await;
    read(answer.unwrap()).await.status
}

/// Requests for `localhost` that go on until they are ended.
struct Steady {
    is_over: Arc<AtomicBool>,
    requests: JoinHandle<u32>,
}

impl Steady {
    fn start(client: Client, address: SocketAddr) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let requests = Tasks::new().spawn(async move {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                let answer = client.get(address, "localhost", "/").await;
                assert_eq!(answer.body, "localhost");
                count += 1;
            }
            count
        });
        Self { is_over, requests }
    }

    /// Ends the requests, and returns how many there were.
    async fn end(self) -> u32 {
        self.is_over.store(true, Ordering::Relaxed);
        self.requests.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_adds_and_removes_listeners_while_requests_on_others_go_on() {
    let ports = ProxyPorts::reserve();
    let (http, https) = (ports.http(), ports.https());
    let (lan, other) = (Reservation::new(), Reservation::new());
    let (lan_address, other_address) = (lan.address(), other.address());
    drop((lan, other));
    let text = |named: &[(&str, SocketAddr)], nas: &str| {
        let named = named
            .iter()
            .map(|(name, address)| format!(", {{ name = \"{name}\", address = \"{address}\" }}"))
            .collect::<String>();
        format!(
            "[listen]\nhttp = \"{http}\"\nhttps = [\"{https}\"{named}]\n[sites]\n\
             \"localhost\" = {{ respond = {{ body = \"localhost\" }} }}\n\
             \"nas.localhost\" = {{ respond = {{ body = \"nas\" }}, listen = [\"{nas}\"] }}\n"
        )
    };
    let setup = ProxySetup::on(ports).addresses_by_file();
    let mut proxy = setup.proxyfile(&text(&[], "default")).start().await;
    let client = proxy.client();
    let steady = Steady::start(client.clone(), https);
    let mut early = client.http2(https, "nas.localhost").await;

    let line = proxy.reload(&text(&[("lan", lan_address)], "lan")).await;
    assert!(line.contains("configuration reloaded"), "{line}");
    proxy.logged(&format!("lan={lan_address}")).await;
    let mut on_lan = client.http2(lan_address, "nas.localhost").await;
    assert_eq!(
        client.get(lan_address, "nas.localhost", "/").await.body,
        "nas"
    );
    // A connection from before stays on its listener, where the site is gone.
    assert_eq!(status_of(&mut early, "nas.localhost").await, 421);
    assert_eq!(status_of(&mut on_lan, "nas.localhost").await, 200);

    // A listener that cannot be opened leaves all as it was.
    let taken = Origin::ok().await;
    let two = [("dmz", other_address), ("dmz", taken.address)];
    let line = proxy.reload(&text(&two, "dmz")).await;
    assert!(line.contains("in use by another program"), "{line}");
    assert!(TcpStream::connect(other_address).await.is_err());
    assert_eq!(
        client.get(lan_address, "nas.localhost", "/").await.body,
        "nas"
    );

    // A name that takes the place of another one gets none of its connections.
    let line = proxy.reload(&text(&[("dmz", other_address)], "dmz")).await;
    assert!(line.contains("configuration reloaded"), "{line}");
    assert_eq!(status_of(&mut on_lan, "nas.localhost").await, 421);
    assert_eq!(status_of(&mut on_lan, "localhost").await, 421);
    assert_eq!(
        client.get(other_address, "nas.localhost", "/").await.body,
        "nas"
    );
    soon(async { while TcpStream::connect(lan_address).await.is_ok() {} }).await;

    // An open address takes another name without a pause.
    let line = proxy.reload(&text(&[("lan", other_address)], "lan")).await;
    assert!(line.contains("configuration reloaded"), "{line}");
    assert_eq!(
        client.get(other_address, "nas.localhost", "/").await.body,
        "nas"
    );
    assert!(steady.end().await > 0);
}
