//! The service that the tests of framing share.

use tokio::net::TcpStream;

use crate::harness::backends::origin::Origin;
use crate::harness::clients::http2_frames::{Frame, HEADERS, Http2Frames};
use crate::harness::service::{Service, serve};

pub(super) async fn setup() -> (Origin, Service) {
    let origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    (origin, service)
}

/// Sends a GET for this path in an HTTP/2 request; returns its status. `None` if the stream or the connection is reset.
pub(super) async fn status2(service: &Service, path: &[u8]) -> Option<u16> {
    let fields: [(&[u8], &[u8]); 4] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"www.example.org"),
        (b":path", path),
    ];
    let frame = first_frame(service, &fields, true).await;
    // The statuses of the static table of HPACK.
    let status = match frame.payload.first()? {
        0x88 => 200,
        0x8c => 400,
        0x8d => 404,
        _ => return None,
    };
    (frame.kind == HEADERS).then_some(status)
}

/// Sends one HEADERS frame with these fields on an HTTP/2 connection; returns the type of the first answering frame that
/// does not concern the connection's settings.
pub(super) async fn ask2_raw(service: &Service, fields: &[(&[u8], &[u8])], is_end: bool) -> u8 {
    first_frame(service, fields, is_end).await.kind
}

async fn first_frame(service: &Service, fields: &[(&[u8], &[u8])], is_end: bool) -> Frame {
    let stream = TcpStream::connect(service.h2).await.unwrap();
    let mut client = Http2Frames::start(stream, &[]).await;
    client.headers(1, fields, is_end).await;
    client.next().await.unwrap()
}
