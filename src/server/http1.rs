//! HTTP/1.1 on one connection, which gives its buffers back while the connection lies unused.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::debug;

use super::activity::Activity;
use super::connection::{BoxError, Conversation};
use super::watched::Watched;

/// What is read of the bytes that end a rest; the protocol reads the others itself.
const FIRST_BYTES: usize = 1024;

type Io<S> = Box<TokioIo<Watched<S>>>;

/// The protocol on one stream, until it is over.
pub(super) struct Http1<'a, S, T: HttpService<Incoming>> {
    builder: &'a http1::Builder,
    service: T,
    activity: Arc<Activity>,
    state: State<S, T>,
}

enum State<S, T: HttpService<Incoming>> {
    /// There are no buffers.
    Resting(Io<S>),
    /// The protocol has the stream.
    Serving(Box<UpgradeableConnection<Io<S>, T>>),
    /// The stream went elsewhere or is closed.
    Over,
}

impl<'a, S, T, B> Http1<'a, S, T>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T: HttpService<Incoming, ResBody = B> + Clone + Unpin,
    T::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(
        builder: &'a http1::Builder,
        stream: Watched<S>,
        service: T,
        activity: Arc<Activity>,
    ) -> Self {
        let mut new = Self {
            builder,
            service,
            activity,
            state: State::Resting(Box::new(TokioIo::new(stream))),
        };
        new.get_up();
        new
    }

    /// Takes the stream out of an ended protocol, or goes on at once where bytes wait in it.
    fn lie_down(&mut self) {
        let State::Serving(ended) = std::mem::replace(&mut self.state, State::Over) else {
            return;
        };
        let Some(mut parts) = ended.into_parts() else {
            return;
        };
        let has_unread = !parts.read_buf.is_empty();
        if has_unread {
            // A copy, for the bytes hold all of the buffer.
            parts
                .io
                .inner_mut()
                .unread(Bytes::copy_from_slice(&parts.read_buf));
        }
        self.state = State::Resting(parts.io);
        if has_unread {
            self.get_up();
        }
    }

    fn get_up(&mut self) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Resting(io) => {
                let connection = self.builder.serve_connection(io, self.service.clone());
                self.state = State::Serving(Box::new(connection.with_upgrades()));
            }
            awake => self.state = awake,
        }
    }

    /// Waits for bytes or the end of the stream; the end shows again when it is read once more.
    fn poll_bytes(io: &mut Io<S>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; FIRST_BYTES];
        let mut read = ReadBuf::new(&mut bytes);
        let stream = io.inner_mut();
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
        stream.unread(Bytes::copy_from_slice(read.filled()));
        Poll::Ready(Ok(()))
    }
}

impl<S, T, B> Future for Http1<'_, S, T>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T: HttpService<Incoming, ResBody = B> + Clone + Unpin,
    T::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<(), hyper::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.state {
                State::Over => return Poll::Ready(Ok(())),
                State::Resting(io) => {
                    if let Err(error) = ready!(Self::poll_bytes(io, cx)) {
                        debug!(%error, "connection broken at rest");
                        self.state = State::Over;
                        continue;
                    }
                    self.activity.set_resting(false);
                    self.get_up();
                }
                State::Serving(connection) => {
                    let ended = Pin::new(&mut **connection).poll(cx);
                    let was_kept_open = self.activity.is_kept_open();
                    self.activity.keep_open(false);
                    match ended {
                        Poll::Ready(Ok(())) if was_kept_open => self.lie_down(),
                        ended => return ended,
                    }
                }
            }
        }
    }
}

impl<S, T, B> Conversation for Http1<'_, S, T>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T: HttpService<Incoming, ResBody = B> + Clone + Unpin,
    T::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    type Error = hyper::Error;

    fn end(mut self: Pin<&mut Self>) {
        self.get_up();
        if let State::Serving(connection) = &mut self.state {
            Pin::new(&mut **connection).graceful_shutdown();
        }
    }

    /// The protocol is asked to end. It is idle, so it does so at once, and all that it did not keep
    /// open is the stream.
    fn rest(mut self: Pin<&mut Self>) {
        self.activity.keep_open(true);
        if let State::Serving(connection) = &mut self.state {
            Pin::new(&mut **connection).graceful_shutdown();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use futures_util::FutureExt;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::sync::Semaphore;

    use super::*;

    async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(Response::new(Full::from("yes")))
    }

    fn is_resting<S, T: HttpService<Incoming>>(connection: &Http1<'_, S, T>) -> bool {
        matches!(connection.state, State::Resting(_))
    }

    #[tokio::test]
    async fn a_connection_rests_between_two_requests_and_serves_the_next() {
        let (mut client, server) = duplex(65_536);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (activity, builder) = (Activity::new(false), http1::Builder::new());
        let stream = Watched::new(server, Arc::clone(&activity), permit);
        let service = service_fn(answer);
        let mut connection = Box::pin(Http1::new(&builder, stream, service, activity.clone()));
        for _ in 0..3 {
            client
                .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                .await
                .unwrap();
            assert!(connection.as_mut().now_or_never().is_none());
            let mut answer = [0; 1024];
            let len = client.read(&mut answer).await.unwrap();
            assert!(answer[..len].ends_with(b"\r\n\r\nyes"));

            connection.as_mut().rest();
            assert!(connection.as_mut().now_or_never().is_none());
            assert!(is_resting(&connection));
        }
        connection.as_mut().end();
        connection.await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_begin_of_a_request_that_came_early_is_not_lost() {
        let (mut client, server) = duplex(65_536);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (activity, builder) = (Activity::new(false), http1::Builder::new());
        let stream = Watched::new(server, Arc::clone(&activity), permit);
        let service = service_fn(answer);
        let mut connection = Box::pin(Http1::new(&builder, stream, service, activity.clone()));
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HT")
            .await
            .unwrap();
        assert!(connection.as_mut().now_or_never().is_none());
        connection.as_mut().rest();
        assert!(connection.as_mut().now_or_never().is_none());
        assert!(!is_resting(&connection));

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
    async fn the_end_of_a_resting_connection_is_seen() {
        let (mut client, server) = duplex(65_536);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (activity, builder) = (Activity::new(false), http1::Builder::new());
        let stream = Watched::new(server, Arc::clone(&activity), permit);
        let service = service_fn(answer);
        let mut connection = Box::pin(Http1::new(&builder, stream, service, activity.clone()));
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        assert!(connection.as_mut().now_or_never().is_none());
        connection.as_mut().rest();
        assert!(connection.as_mut().now_or_never().is_none());
        client.shutdown().await.unwrap();
        connection.await.unwrap();
    }
}
