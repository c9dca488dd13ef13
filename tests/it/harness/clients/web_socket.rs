//! WebSockets over HTTP/2.

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request};
use proxy::tasks::Tasks;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};

use crate::harness::deadline::soon;

/// Opens an HTTP/2 connection and waits until the server allows extended CONNECT.
pub(crate) async fn http2_client<S>(stream: S, tasks: &Tasks) -> SendRequest<Bytes>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tasks.spawn(connection);
    let sender = soon(sender.ready()).await.unwrap();
    soon(async {
        while !sender.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    sender
}

/// An extended CONNECT (RFC 8441 section 4).
pub(crate) fn connect(url: &str, protocol: &'static str) -> Request<()> {
    Request::builder()
        .method(Method::CONNECT)
        .uri(url)
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .header("sec-websocket-key", "forged")
        .body(())
        .unwrap()
}

/// Both halves of an HTTP/2 stream as one byte stream.
pub(crate) fn joined(
    mut receive: RecvStream,
    mut send: SendStream<Bytes>,
    tasks: &Tasks,
) -> DuplexStream {
    let (near, far) = duplex(65_536);
    let (mut from_client, mut to_client) = tokio::io::split(far);
    tasks.spawn(async move {
        while let Some(Ok(data)) = receive.data().await {
            let _ = receive.flow_control().release_capacity(data.len());
            if to_client.write_all(&data).await.is_err() {
                break;
            }
        }
        let _ = to_client.shutdown().await;
    });
    tasks.spawn(async move {
        let mut bytes = vec![0; 4096];
        while let Ok(len @ 1..) = from_client.read(&mut bytes).await {
            send.send_data(Bytes::copy_from_slice(&bytes[..len]), false)
                .unwrap();
        }
        let _ = send.send_data(Bytes::new(), true);
    });
    near
}
