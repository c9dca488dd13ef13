//! Requests and backends that several tests of upstreams share.

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::RawStream;
use crate::harness::service::Service;

pub(super) fn last(method: &str, fields: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n{fields}\r\n")
}

pub(super) const URL2: &str = "https://www.example.org/";

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

pub(super) fn get() -> String {
    "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n".to_owned()
}

/// Sends a request so that one idle connection is in the pool.
pub(super) async fn warm_up(service: &Service, origin: &mut Origin) {
    let mut client = RawStream::connect(service.h1).await;
    client.send(get()).await;
    client.read_until("ok").await.unwrap();
    origin.event().await;
}

pub(super) const CUT: [&str; 3] = [
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart",
];
