//! Limits of HTTP/3 connections, each counted with its reason.

use h3::error::Code;
use http::StatusCode;

use super::requests::start;
use crate::harness::admin::{refused, status};
use crate::harness::backends::web_app::App;
use crate::harness::clients::http3::Http3;
use crate::harness::deadline::soon;
use crate::harness::proxy::{Proxy, ProxySetup};

async fn limited(limits: &str) -> (Proxy, App) {
    let app = App::start().await;
    let limits = format!("[limits]\n{limits}");
    (start(&app.address.to_string(), &limits).await, app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_head_is_refused_with_a_word_and_a_much_larger_one_with_a_reset() {
    let (proxy, _app) = limited("head-size = \"8k\"").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    let request = http3
        .request("GET", "/")
        .header("x-large", "a".repeat(10_000));
    let mut exchange = http3.begin(request).await;
    exchange.finish().await;
    let answer = exchange.answer().await.unwrap();
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);

    // A client that knows the limit would not even send it.
    let mut raw = RawRequest::open(&http3).await;
    raw.send_frame(0x01, &[b'a'; 20_000]).await;
    assert_eq!(raw.reset().await, Code::H3_EXCESSIVE_LOAD);
    // The connection goes on.
    assert_eq!(http3.get("/").await.status, StatusCode::OK);
    refused(&proxy, &[("head-too-large", 2)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_frame_is_not_gathered_and_empty_frames_are_bounded() {
    let (proxy, _app) = limited("head-size = \"8k\"").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    let mut raw = RawRequest::open(&http3).await;
    raw.send_frame(0x21, &[0; 20_000]).await;
    assert_eq!(raw.reset().await, Code::H3_EXCESSIVE_LOAD);
    let mut raw = RawRequest::open(&http3).await;
    raw.send(&[0x21, 0].repeat(200)).await;
    assert_eq!(raw.reset().await, Code::H3_EXCESSIVE_LOAD);
    assert_eq!(http3.get("/").await.status, StatusCode::OK);
    refused(&proxy, &[("head-too-large", 1), ("http3-flood", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_head_is_cut_while_others_are_answered() {
    let (proxy, _app) = limited("header-timeout = \"1s\"").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    // Given a head of which only the beginning comes.
    let mut raw = RawRequest::open(&http3).await;
    raw.send(&[0x01, 50, 1, 2, 3]).await;
    // Then other requests are answered meanwhile.
    assert_eq!(http3.get("/").await.status, StatusCode::OK);
    assert_eq!(raw.reset().await, Code::H3_REQUEST_INCOMPLETE);
    refused(&proxy, &[("head-timeout", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connections_of_a_client_are_bounded_over_all_protocols() {
    let (proxy, _app) = limited("connections-per-client = 2").await;
    let client = proxy.client();
    let tcp = client.connect(proxy.https(), "localhost").await.unwrap();
    let http3 = Http3::open(&client, proxy.https(), "localhost").await;
    let http3 = http3.unwrap_or_else(|error| panic!("{error}"));
    let error = Http3::open(&client, proxy.https(), "localhost").await;
    assert!(error.is_err());
    drop((tcp, http3));
    refused(&proxy, &[("connections-per-client", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_without_a_certificate_in_memory_is_refused() {
    let (proxy, _app) = limited("").await;
    let client = proxy.client();
    let error = Http3::open(&client, proxy.https(), "other.example").await;
    let Err(quinn::ConnectionError::ConnectionClosed(close)) = error else {
        panic!("the handshake is refused");
    };
    let unrecognized_name = quinn::TransportErrorCode::crypto(112);
    assert_eq!(close.error_code, unrecognized_name);
    refused(&proxy, &[("no-certificate", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_its_requests_without_end_loses_its_connection() {
    let (proxy, _app) = limited("").await;
    let mut http3 = Http3::connect(&proxy, "localhost").await;
    for _ in 0..2_000 {
        let request = http3.request("GET", "/gate");
        let Ok(mut exchange) = http3.try_begin(request).await else {
            break;
        };
        exchange.0.stop_stream(Code::H3_REQUEST_CANCELLED);
        exchange.0.stop_sending(Code::H3_REQUEST_CANCELLED);
    }
    assert_eq!(http3.closed().await, Code::H3_EXCESSIVE_LOAD);
    let counted = status(&proxy).await;
    let refusals = counted["refusals"].to_string();
    assert!(refusals.contains("http3-flood"), "{refusals}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_streams_and_frames_without_requests_close_the_connection() {
    let (proxy, _app) = limited("").await;
    // Given a client that opens one unidirectional stream after the other.
    let http3 = Http3::connect(&proxy, "localhost").await;
    let opening = async {
        while let Ok(mut stream) = http3.quic.open_uni().await {
            // A stream of an unknown type, which the proxy reads no further.
            if stream.write_all(&[0x21]).await.is_err() || stream.finish().is_err() {
                break;
            }
        }
    };
    soon(opening).await;
    assert_eq!(http3.closed().await, Code::H3_EXCESSIVE_LOAD);
    // Given a client with two control streams.
    let http3 = Http3::connect(&proxy, "localhost").await;
    let mut control = http3.quic.open_uni().await.unwrap();
    control.write_all(&[0x00]).await.unwrap();
    assert_eq!(http3.closed().await, Code::H3_STREAM_CREATION_ERROR);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_requires_a_proxy_header_has_no_http3() {
    let app = App::start().await;
    let text = format!(
        "http3 = true\ntrust = [\"127.0.0.1\"]\n[listen]\nhttps = {{ address = \"127.0.0.1:0\", proxy-protocol = \"required\" }}\nhttp = \"127.0.0.1:0\"\n[sites]\n\"localhost\" = \"{}\"\n",
        app.address
    );
    let proxy = ProxySetup::new()
        .proxyfile(&text)
        .addresses_by_file()
        .start()
        .await;
    let listeners = status(&proxy).await["listeners"].to_string();
    assert!(
        listeners.contains("https") && !listeners.contains("http3"),
        "{listeners}"
    );
}

/// A request stream on which a test sends whatever it likes.
struct RawRequest {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
}

impl RawRequest {
    async fn open(http3: &Http3) -> Self {
        let (send, recv) = http3.quic.open_bi().await.unwrap();
        Self { send, recv }
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The proxy may stop the stream before all is sent.
        let _ = soon(self.send.write_all(bytes)).await;
    }

    async fn send_frame(&mut self, kind: u8, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap() | 0x8000_0000;
        let frame = [&[kind], &length.to_be_bytes()[..], payload].concat();
        self.send(&frame).await;
    }

    /// Waits until the proxy resets the stream.
    async fn reset(&mut self) -> Code {
        let mut buffer = [0; 1024];
        loop {
            match soon(self.recv.read(&mut buffer)).await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream has ended as if it were complete"),
                Err(quinn::ReadError::Reset(code)) => return code.into_inner().into(),
                Err(other) => panic!("{other}"),
            }
        }
    }
}
