//! HTTP/2 streams that their client does not read: each ends on its own, and its connection goes on.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::backends::origin::Origin;
use crate::harness::clients::http2_frames::{DATA, HEADERS, Http2Frames, RST_STREAM};
use crate::harness::service::{Service, ServiceSetup};

const HOST: &str = "www.example.org";
/// Error code CANCEL (RFC 9113 section 7).
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// Setting of the window of each stream, which is half of a short response.
const INITIAL_WINDOW_SIZE: (u16, u32) = (4, 1000);

/// An app with a large video, a stream of events, and small and short responses.
async fn app() -> Origin {
    Origin::start(|mut connection| async move {
        let begin = |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        while let Some(head) = connection.raw.read_head().await {
            let path = head.split(' ').nth(1).unwrap();
            let (length, is_endless) = match path {
                "/small" => (5, false),
                "/short" => (2000, false),
                _ => (1 << 20, true),
            };
            connection.raw.send(begin(length)).await;
            let sent = if path == "/events" {
                8
            } else {
                length.min(2000)
            };
            connection.raw.send(vec![b'x'; sent]).await;
            if is_endless {
                connection.raw.read_to_end().await;
                connection.tell(format!("{path} given up"));
                return;
            }
        }
    })
    .await
}

async fn start() -> (Origin, Service, Http2Frames<TcpStream>) {
    let origin = app().await;
    let setup = ServiceSetup::new().body_timeout(Duration::from_millis(500));
    let service = setup.site(HOST, &[origin.address]).start().await;
    let stream = TcpStream::connect(service.h2).await.unwrap();
    let client = Http2Frames::start(stream, &[INITIAL_WINDOW_SIZE]).await;
    (origin, service, client)
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_alone() {
    let (mut origin, service, mut client) = start().await;
    client.get(1, HOST, "/video").await;
    client.get(3, HOST, "/events").await;

    let reset = client.next_of(RST_STREAM).await;

    assert_eq!((reset.stream, reset.payload), (1, CANCEL.to_vec()));
    assert_eq!(origin.event().await, "/video given up");
    // The event stream pauses, and the connection serves the next request.
    client.get(5, HOST, "/small").await;
    assert_eq!(client.next_of(HEADERS).await.stream, 5);
    service.in_flight(1).await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_while_others_of_its_connection_move() {
    let (mut origin, _service, mut client) = start().await;
    client.get(1, HOST, "/video").await;
    let (mut next, mut is_reset) = (3, false);
    while !is_reset {
        client.get(next, HOST, "/small").await;
        loop {
            let frame = client.next().await.unwrap();
            is_reset = frame.kind == RST_STREAM;
            if is_reset {
                assert_eq!(frame.stream, 1);
            }
            if is_reset || frame.kind == DATA && frame.stream == next {
                break;
            }
        }
        next += 2;
    }
    assert!(next > 10, "the others were served meanwhile: {next}");
    assert_eq!(origin.event().await, "/video given up");
}

#[tokio::test]
async fn a_response_that_its_backend_has_sent_in_full_is_reset_too() {
    let (_origin, service, mut client) = start().await;
    client.get(1, HOST, "/short").await;
    let reset = client.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.payload), (1, CANCEL.to_vec()));
    service.in_flight(0).await;
}

#[tokio::test]
async fn a_slow_reader_gets_all_of_a_response() {
    let (_origin, _service, mut client) = start().await;
    client.get(1, HOST, "/short").await;
    let mut read = client.next_of(DATA).await.payload.len();
    while read < 2000 {
        // Each pause is shorter than the time-out, and all of them together are longer.
        let silence = timeout(Duration::from_millis(200), client.next()).await;
        assert!(silence.is_err(), "{silence:?}");
        client.open_window(1, 250).await;
        read += client.next_of(DATA).await.payload.len();
    }
    assert_eq!(read, 2000);
}
