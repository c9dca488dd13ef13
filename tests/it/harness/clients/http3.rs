//! Clients of HTTP/3, which trust one root and nothing else.

use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3::error::{Code, ConnectionError, StreamError};
use h3_quinn::{BidiStream, OpenStreams};
use http::{HeaderMap, Request, Response, StatusCode};
use proxy::tasks::Tasks;
use tokio::task::JoinHandle;

use crate::harness::clients::https::Client;
use crate::harness::deadline::soon;
use crate::harness::proxy::Proxy;

/// An HTTP/3 connection of a client.
pub(crate) struct Http3 {
    pub(crate) endpoint: quinn::Endpoint,
    pub(crate) quic: quinn::Connection,
    sender: SendRequest<OpenStreams, Bytes>,
    ended: JoinHandle<ConnectionError>,
    name: String,
}

/// A request that has been sent, and whose body may follow.
pub(crate) struct Exchange(pub(crate) RequestStream<BidiStream<Bytes>, Bytes>);

/// A response read to its end.
#[derive(Debug)]
pub(crate) struct Http3Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Http3 {
    /// Connects to a proxy, which has the certificate in memory once a client has come over TCP.
    pub(crate) async fn connect(proxy: &Proxy, name: &str) -> Self {
        let client = proxy.client();
        drop(client.connect(proxy.https(), name).await);
        Self::open(&client, proxy.https(), name).await.unwrap()
    }

    /// Connects to an address.
    pub(crate) async fn open(
        client: &Client,
        address: SocketAddr,
        name: &str,
    ) -> Result<Self, quinn::ConnectionError> {
        let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        endpoint.set_default_client_config(client.quic());
        let quic = soon(endpoint.connect(address, name).unwrap()).await?;
        let connection = h3_quinn::Connection::new(quic.clone());
        let Ok((mut connection, sender)) = soon(h3::client::new(connection)).await else {
            return Err(quic.close_reason().expect("the connection has ended"));
        };
        let ended = Tasks::new().spawn(async move { connection.wait_idle().await });
        Ok(Self {
            endpoint,
            quic,
            sender,
            ended,
            name: name.to_owned(),
        })
    }

    /// Returns a request for this path.
    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let uri = format!("https://{}{path}", self.name);
        Request::builder().method(method).uri(uri)
    }

    /// Sends the head of a request.
    pub(crate) async fn begin(&mut self, request: http::request::Builder) -> Exchange {
        self.try_begin(request).await.unwrap()
    }

    /// Sends the head of a request if the connection still takes it.
    pub(crate) async fn try_begin(
        &mut self,
        request: http::request::Builder,
    ) -> Result<Exchange, StreamError> {
        let sending = self.sender.send_request(request.body(()).unwrap());
        soon(sending).await.map(Exchange)
    }

    /// Sends a request without a body, and reads the response.
    pub(crate) async fn get(&mut self, path: &str) -> Http3Answer {
        let request = self.request("GET", path);
        let mut exchange = self.begin(request).await;
        exchange.finish().await;
        exchange.answer().await.unwrap()
    }

    /// Waits for the end of the connection, and returns the error code with which the proxy closed it.
    pub(crate) async fn closed(&self) -> Code {
        match soon(self.quic.closed()).await {
            quinn::ConnectionError::ApplicationClosed(close) => {
                close.error_code.into_inner().into()
            }
            other => panic!("{other}"),
        }
    }
}

impl Drop for Http3 {
    fn drop(&mut self) {
        // First, or the end of its control stream would look like an error.
        let no_error = Code::H3_NO_ERROR.value().try_into().unwrap();
        self.quic.close(no_error, b"");
        self.ended.abort();
    }
}

impl Exchange {
    /// Sends a part of the body.
    pub(crate) async fn send(&mut self, data: impl Into<Bytes>) -> Result<(), StreamError> {
        soon(self.0.send_data(data.into())).await
    }

    /// Ends the request.
    pub(crate) async fn finish(&mut self) {
        soon(self.0.finish()).await.unwrap();
    }

    /// Reads the next head: of an interim response, or of the final one.
    pub(crate) async fn head(&mut self) -> Result<Response<()>, StreamError> {
        soon(self.0.recv_response()).await
    }

    /// Reads the next part of the response's body.
    pub(crate) async fn data(&mut self) -> Result<Option<Bytes>, StreamError> {
        let data = soon(self.0.recv_data()).await?;
        Ok(data.map(|mut data| data.copy_to_bytes(data.remaining())))
    }

    /// Reads a whole response.
    pub(crate) async fn answer(&mut self) -> Result<Http3Answer, StreamError> {
        let (head, ()) = self.head().await?.into_parts();
        let mut body = Vec::new();
        while let Some(data) = self.data().await? {
            body.extend_from_slice(&data);
        }
        Ok(Http3Answer {
            status: head.status,
            headers: head.headers,
            body: body.into(),
            trailers: soon(self.0.recv_trailers()).await?,
        })
    }
}

/// Returns the code with which the proxy has ended a stream.
pub(crate) fn reset_code(error: &StreamError) -> Code {
    match error {
        StreamError::RemoteTerminate { code, .. } => *code,
        other => panic!("{other}"),
    }
}
