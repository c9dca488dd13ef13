//! WebSocket over TLS through the whole proxy.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::backends::web_app::App;
use crate::harness::proxy::ProxySetup;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_echoes_over_tls() {
    let app = App::start().await;
    let proxy = ProxySetup::new().local(&app).start().await;
    let client = proxy.client().alpn("http/1.1");
    let stream = client.connect(proxy.https(), "localhost").await.unwrap();

    let opened = tokio_tungstenite::client_async("wss://localhost/echo", stream).await;
    let (mut socket, response) = opened.unwrap();

    assert_eq!(response.status(), 101);
    for message in [Message::text("hello"), Message::binary(vec![7; 300_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
}
