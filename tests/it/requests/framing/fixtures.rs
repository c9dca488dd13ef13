//! The service that the tests of framing share.

use tokio::net::TcpStream;

use crate::harness::backends::origin::Origin;
use crate::harness::clients::http2_frames::Http2Frames;
use crate::harness::service::{Service, serve};

pub(super) async fn setup() -> (Origin, Service) {
    let origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    (origin, service)
}

/// Sends one HEADERS frame with these fields on an HTTP/2 connection; returns the types of the answering frames that do
/// not concern the connection's settings, up to the first.
pub(super) async fn ask2_raw(service: &Service, fields: &[(&[u8], &[u8])], is_end: bool) -> u8 {
    let stream = TcpStream::connect(service.h2).await.unwrap();
    let mut client = Http2Frames::start(stream, &[]).await;
    client.headers(1, fields, is_end).await;
    client.next().await.unwrap().kind
}
