//! Services and answers that the tests of HTTP/2 backends share.

use bytes::Bytes;
use http::Response;

use crate::harness::service::{Service, ServiceSetup};

pub(super) const LAST: &str = "Host: www.example.org\r\nConnection: close\r\n\r\n";

pub(super) async fn serve(url: &str) -> Service {
    ServiceSetup::new().upstream(&[url], None).start().await
}

pub(super) const HOST: &str = "www.example.org";

pub(super) fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Answers a stream with status 200 and this body.
pub(super) fn answer(mut respond: h2::server::SendResponse<Bytes>, body: &'static str) {
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(bytes(body), true).unwrap();
}
