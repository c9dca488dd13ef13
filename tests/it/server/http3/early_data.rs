//! Early data: requests within the handshake of a client that comes back.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use http::{Request, Response};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::harness::backends::origin::Origin;
use crate::harness::clients::https::Client;
use crate::harness::clients::udp_relay::{Faults, UdpRelay};
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};
use proxy::tasks::Tasks;

/// The key that turns it on.
const EARLY: &str = ", early-data = true";

type Sender = SendRequest<OpenStreams, Bytes>;

/// A client that may send early data, with the tickets of its former connections.
struct EarlyClient {
    endpoint: quinn::Endpoint,
    config: quinn::ClientConfig,
}

impl EarlyClient {
    fn new(client: &Client) -> Self {
        Self {
            endpoint: quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap(),
            config: client.early().quic(),
        }
    }

    fn connecting(&self, address: SocketAddr) -> quinn::Connecting {
        let config = self.config.clone();
        let connecting = self.endpoint.connect_with(config, address, "localhost");
        connecting.unwrap()
    }

    /// Makes one request after the handshake, whose connection leaves a ticket.
    async fn visit(&self, address: SocketAddr) {
        let quic = soon(self.connecting(address)).await.unwrap();
        let mut sender = http3(quic.clone()).await;
        answer(&mut sender, "GET", "/before").await;
        quic.close(quinn::VarInt::from_u32(0x100), b"");
        soon(self.endpoint.wait_idle()).await;
    }

    /// Returns a connection that sends early data.
    fn early(&self, address: SocketAddr) -> quinn::Connection {
        let early = self.connecting(address).into_0rtt();
        early.unwrap_or_else(|_| panic!("there is no ticket")).0
    }
}

async fn http3(quic: quinn::Connection) -> Sender {
    let (mut connection, sender) = soon(h3::client::new(h3_quinn::Connection::new(quic)))
        .await
        .unwrap();
    Tasks::new().spawn(async move { connection.wait_idle().await });
    sender
}

async fn answer(sender: &mut Sender, method: &str, path: &str) -> Response<Bytes> {
    let request = Request::builder().method(method);
    let request = request.uri(format!("https://localhost{path}"));
    let sending = sender.send_request(request.body(()).unwrap());
    let mut exchange = soon(sending).await.unwrap();
    soon(exchange.finish()).await.unwrap();
    let head = soon(exchange.recv_response()).await.unwrap();
    let mut body = Vec::new();
    while let Some(mut data) = soon(exchange.recv_data()).await.unwrap() {
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    head.map(|()| body.into())
}

async fn start(origin: &Origin, keys: &str) -> Proxy {
    let text = format!(
        "[sites]\n\"localhost\" = {{ upstream = \"{}\"{keys} }}\n",
        origin.address
    );
    let proxy = ProxySetup::new().proxyfile(&text).start().await;
    // From here on, the certificate is in memory.
    drop(proxy.client().connect(proxy.https(), "localhost").await);
    proxy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_safe_request_runs_before_the_handshake_is_complete_and_another_one_after_it() {
    // Given a client with a ticket, and a network that loses all answers.
    let mut origin = Origin::ok().await;
    let proxy = start(&origin, EARLY).await;
    let relay = UdpRelay::start(proxy.https(), 1, Faults::NONE).await;
    let client = EarlyClient::new(&proxy.client());
    client.visit(relay.address).await;
    assert!(!origin.event().await.contains("early-data"));
    relay.is_mute.store(true, Ordering::Relaxed);

    // When it sends two requests with the first packets.
    let mut sender = http3(client.early(relay.address)).await;
    let mut other = sender.clone();
    let unsafe_one = Tasks::new().spawn(async move { answer(&mut other, "POST", "/post").await });
    let safe_one = Tasks::new().spawn(async move { answer(&mut sender, "GET", "/get").await });

    // Then the backend has the safe one, which says what it is.
    let seen = origin.event().await;
    assert!(seen.starts_with("GET /get "), "{seen}");
    assert!(seen.contains("early-data: 1\r\n"), "{seen}");
    // And the other one once the handshake is complete.
    assert!(origin.is_quiet());
    relay.is_mute.store(false, Ordering::Relaxed);
    let seen = origin.event().await;
    assert!(seen.starts_with("POST /post "), "{seen}");
    assert!(!seen.contains("early-data"), "{seen}");
    for answered in [safe_one, unsafe_one] {
        assert_eq!(*soon(answered).await.unwrap().body(), "ok");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_early_data_is_not_taken_a_second_time() {
    // Given a request in early data that somebody has recorded.
    let mut origin = Origin::ok().await;
    let proxy = start(&origin, EARLY).await;
    let relay = UdpRelay::start(proxy.https(), 1, Faults::NONE).await;
    let client = EarlyClient::new(&proxy.client());
    client.visit(relay.address).await;
    origin.event().await;
    relay.sent.lock().clear();
    let quic = client.early(relay.address);
    let mut sender = http3(quic.clone()).await;
    answer(&mut sender, "GET", "/once").await;
    assert!(origin.event().await.starts_with("GET /once "));
    let recorded = relay.sent.lock().clone();
    quic.close(quinn::VarInt::from_u32(0x100), b"");

    // When its first packets are sent again, once the proxy has forgotten that connection, and from another address.
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let is_first = |datagram: &&Vec<u8>| datagram[0] & 0x80 != 0;
    let mut answered = [0; 2048];
    soon(async {
        loop {
            for datagram in recorded.iter().filter(is_first) {
                stranger.send_to(datagram, proxy.https()).await.unwrap();
            }
            let answering = stranger.recv_from(&mut answered);
            let answered = timeout(Duration::from_millis(200), answering).await;
            if answered.is_ok() {
                break;
            }
        }
    })
    .await;

    // Then the proxy begins a handshake, and the backend sees nothing of it.
    assert!(answered[0] & 0x80 != 0);
    client.visit(proxy.https()).await;
    assert!(origin.event().await.starts_with("GET /before "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_can_refuse_early_data() {
    let mut origin = Origin::answering("HTTP/1.1 425 Too Early\r\ncontent-length: 0\r\n\r\n").await;
    let proxy = start(&origin, EARLY).await;
    let client = EarlyClient::new(&proxy.client());
    client.visit(proxy.https()).await;
    origin.event().await;
    let mut sender = http3(client.early(proxy.https())).await;
    let answered = answer(&mut sender, "GET", "/").await;
    assert_eq!(answered.status(), 425);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_takes_no_early_data_unless_it_is_told_to_and_none_where_addresses_count() {
    let by_address = format!("{EARLY}, routes = {{ \"/admin\" = {{ allow = [\"127.0.0.1\"] }} }}");
    for keys in ["", by_address.as_str()] {
        let origin = Origin::ok().await;
        let proxy = start(&origin, keys).await;
        let client = EarlyClient::new(&proxy.client());
        client.visit(proxy.https()).await;
        assert!(
            client.connecting(proxy.https()).into_0rtt().is_err(),
            "{keys}"
        );
    }
}
