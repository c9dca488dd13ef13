//! The backend of each request: the least busy one that accepts connections.

use http::Request;

use crate::harness::backends::origin::{Origin, refusing_address};
use crate::harness::clients::raw::RawStream;
use crate::harness::service::{empty, serve};

const URL2: &str = "https://www.example.org/a/../b//c?x=%2e&y";

#[tokio::test]
async fn a_backend_that_refuses_connections_is_skipped() {
    let origin = Origin::ok().await;
    let service = serve(&[refusing_address().await, origin.address]).await;
    let mut client = service.client2().await;
    for _ in 0..10 {
        let response = client
            .send_request(Request::get(URL2).body(empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn the_backend_with_fewer_requests_in_flight_is_chosen() {
    let mut busy = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.read_to_end().await;
    })
    .await;
    let mut free = Origin::start(|mut connection| async move {
        connection.read_request().await;
        connection.raw.read_to_end().await;
    })
    .await;
    let service = serve(&[busy.address, free.address]).await;
    let mut held = Vec::new();
    for _ in 0..6 {
        let mut client = RawStream::connect(service.h1).await;
        client
            .send("GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
            .await;
        held.push(client);
        tokio::select! {
            _ = busy.event() => {}
            _ = free.event() => {}
        }
    }
    assert_eq!((busy.connections(), free.connections()), (3, 3));
}
