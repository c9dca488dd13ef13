//! The service that the tests of framing share.

use crate::harness::backends::origin::Origin;
use crate::harness::clients::raw::RawStream;
use crate::harness::service::{Service, serve};

pub(super) async fn setup() -> (Origin, Service) {
    let origin = Origin::ok().await;
    let service = serve(&[origin.address]).await;
    (origin, service)
}

/// Sends one HEADERS frame with these fields on an HTTP/2 connection; returns the types of the answering frames that do
/// not concern the connection's settings, up to the first.
pub(super) async fn ask2_raw(service: &Service, fields: &[(&[u8], &[u8])], is_end: bool) -> u8 {
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text);
        }
    }
    let flags = 4 | u8::from(is_end);
    let mut client = RawStream::connect(service.h2).await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.send([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await;
    client
        .send([
            0,
            0,
            u8::try_from(block.len()).unwrap(),
            1,
            flags,
            0,
            0,
            0,
            1,
        ])
        .await;
    client.send(block).await;
    loop {
        let head = client.read_exact(9).await;
        client
            .read_exact(usize::from(head[1]) << 8 | usize::from(head[2]))
            .await;
        if ![SETTINGS, PING, WINDOW_UPDATE].contains(&head[3]) {
            return head[3];
        }
    }
}
