//! HTTP/1.1 on one connection, answered by the request handler. A connection without use is parked: it gives its buffers back
//! until bytes come.

use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderValue, Request};
use tokio::io::{AsyncRead, AsyncWrite};

use super::driver::Protocol;
use super::request_handler::RequestHandler;
use super::tracked_body::TrackedBody;
use super::tracked_stream::TrackedStream;
use crate::http1::{
    HeadLimits, IncomingBody, ResponseFuture, ServerConnection, ServerError, Service,
};
use crate::proxy::{Body, BodyError};
use crate::server::lingering_close::LingeringClose;
use crate::server::options::Limits;

/// Smallest limit of a head that is enforced by closing the connection. The service refuses smaller ones with a reason.
const LEAST_HEAD_SIZE: usize = 8192;

/// Returns the limits of heads.
pub(in crate::server) fn head_limits(limits: &Limits) -> HeadLimits {
    HeadLimits {
        size: limits.head_size.max(LEAST_HEAD_SIZE),
        fields: limits.head_fields,
    }
}

/// An HTTP/1.1 connection.
pub(super) type Http1<S> = ServerConnection<TrackedStream<S>, Http1Service>;

/// Answers the requests of one HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct Http1Service(pub(super) Arc<RequestHandler>);

impl Service for Http1Service {
    type Body = TrackedBody<Body>;

    fn call(&self, request: Request<IncomingBody>) -> ResponseFuture<TrackedBody<Body>> {
        let handler = &self.0;
        handler.call(request.map(|body| handler.tracked(body)), None)
    }

    fn date(&self) -> HeaderValue {
        self.0.date.value()
    }
}

impl<S, T> Protocol for ServerConnection<TrackedStream<S>, T>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T: Service<Body: http_body::Body<Error = BodyError>> + Unpin,
{
    type Error = ServerError<BodyError>;

    fn graceful_shutdown(self: Pin<&mut Self>) {
        self.get_mut().graceful_shutdown();
    }

    fn into_lingering(self: Pin<Box<Self>>) -> Option<LingeringClose> {
        let (stream, has_unread) = Pin::into_inner(self).into_stream()?;
        let deadlines = stream.deadlines();
        let is_read = !has_unread && !deadlines.has_unread_request();
        let answered = deadlines.answered();
        (stream.is_shut_down() && !is_read).then(|| LingeringClose::new(stream, answered))
    }

    /// An idle connection closes without a word.
    fn announces_end(&self) -> bool {
        false
    }

    fn park(self: Pin<&mut Self>) {
        self.get_mut().park();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;
    use http::Response;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::Semaphore;

    use super::super::deadlines::Deadlines;
    use super::*;

    /// Answers each request with `yes`.
    struct Yes;

    impl Service for Yes {
        type Body = Body;

        fn call(&self, _: Request<IncomingBody>) -> ResponseFuture<Body> {
            Box::pin(async { Response::new(Body::full("yes")) })
        }

        fn date(&self) -> HeaderValue {
            HeaderValue::from_static("now")
        }
    }

    type YesConnection = ServerConnection<TrackedStream<DuplexStream>, Yes>;

    /// A client and its connection.
    fn connect(deadlines: &Arc<Deadlines>) -> (DuplexStream, Pin<Box<YesConnection>>) {
        let (client, server) = duplex(65_536);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let stream = TrackedStream::new(server, Arc::clone(deadlines), permit);
        let limits = head_limits(&Limits::default());
        (client, Box::pin(ServerConnection::new(stream, Yes, limits)))
    }

    fn park(connection: &mut Pin<Box<YesConnection>>, deadlines: &Deadlines) {
        deadlines.set_parked(true);
        Protocol::park(connection.as_mut());
        assert!(connection.as_mut().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_connection_is_parked_between_two_requests_and_serves_the_next() {
        let deadlines = Deadlines::new(false);
        let (mut client, mut connection) = connect(&deadlines);
        for _ in 0..3 {
            client
                .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: #\r\n\r\n")
                .await
                .unwrap();
            assert!(connection.as_mut().now_or_never().is_none());
            assert!(!deadlines.is_parked());
            let mut answer = [0; 1024];
            let len = client.read(&mut answer).await.unwrap();
            assert!(answer[..len].ends_with(b"\r\n\r\nyes"));

            park(&mut connection, &deadlines);
            assert!(connection.is_parked() && deadlines.is_parked());
        }
        Protocol::graceful_shutdown(connection.as_mut());
        connection.await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_start_of_a_request_that_came_early_is_not_lost() {
        let deadlines = Deadlines::new(false);
        let (mut client, mut connection) = connect(&deadlines);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HT")
            .await
            .unwrap();
        assert!(connection.as_mut().now_or_never().is_none());
        park(&mut connection, &deadlines);
        assert!(!connection.is_parked());

        client
            .write_all(b"TP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        connection.await.unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        assert_eq!(answers.matches("yes").count(), 2);
    }

    #[tokio::test]
    async fn the_end_of_a_parked_connection_is_seen() {
        let deadlines = Deadlines::new(false);
        let (mut client, mut connection) = connect(&deadlines);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        assert!(connection.as_mut().now_or_never().is_none());
        park(&mut connection, &deadlines);
        client.shutdown().await.unwrap();
        connection.await.unwrap();
    }
}
