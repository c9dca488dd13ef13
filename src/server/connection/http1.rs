//! HTTP/1.1 on one connection. A connection without use is parked: it gives its buffers back until bytes come.

use std::error::Error;
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
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::debug;

use super::deadlines::Deadlines;
use super::driver::Protocol;
use super::tracked_stream::TrackedStream;
use crate::server::lingering_close::LingeringClose;
use crate::server::options::Limits;

/// Bytes that are read to wake a parked connection; the protocol reads the rest on its own.
const FIRST_BYTES: usize = 1024;

/// hyper's own maximum number of header fields. If it is set, each request pays for arrays on the heap.
const HYPER_HEAD_FIELDS: usize = 100;

type BoxError = Box<dyn Error + Send + Sync>;

/// Builds HTTP/1.1 within `limits`. Its time-outs are off: [`Deadlines`] has them.
pub(in crate::server) fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(most_held(limits));
    if limits.head_fields != HYPER_HEAD_FIELDS {
        builder.max_headers(limits.head_fields);
    }
    builder
}

/// Returns how many bytes the protocol holds at most while it waits for the rest of a head.
pub(in crate::server) fn most_held(limits: &Limits) -> usize {
    limits.head_size.max(8192)
}

type Io<S> = Box<TokioIo<TrackedStream<S>>>;

/// An HTTP/1.1 connection.
pub(super) struct Http1<'a, S, T: HttpService<Incoming>> {
    builder: &'a http1::Builder,
    service: T,
    deadlines: Arc<Deadlines>,
    state: State<S, T>,
}

enum State<S, T: HttpService<Incoming>> {
    /// Without buffers, until bytes come.
    Parked(Io<S>),
    /// The protocol has the stream.
    Serving(Box<UpgradeableConnection<Io<S>, T>>),
    /// The stream is closed, or belongs to a tunnel.
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
        stream: TrackedStream<S>,
        service: T,
        deadlines: Arc<Deadlines>,
    ) -> Self {
        let mut new = Self {
            builder,
            service,
            deadlines,
            state: State::Parked(Box::new(TokioIo::new(stream))),
        };
        new.unpark();
        new
    }

    /// Takes the stream out of a protocol that has shut down. Starts again at once if the protocol has read ahead.
    fn take_stream(&mut self) {
        let State::Serving(ended) = std::mem::replace(&mut self.state, State::Over) else {
            return;
        };
        let Some(mut parts) = ended.into_parts() else {
            return;
        };
        parts.io.inner().forget_reads();
        let has_unread = !parts.read_buf.is_empty();
        if has_unread {
            // A copy, since the bytes keep the whole buffer alive.
            parts
                .io
                .inner_mut()
                .unread(Bytes::copy_from_slice(&parts.read_buf));
        }
        self.state = State::Parked(parts.io);
        if has_unread {
            self.unpark();
        }
    }

    fn unpark(&mut self) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Parked(io) => {
                let connection = self.builder.serve_connection(io, self.service.clone());
                self.state = State::Serving(Box::new(connection.with_upgrades()));
            }
            awake => self.state = awake,
        }
    }

    /// Waits for bytes or the end of the stream. The protocol sees the end when it reads again.
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
                State::Parked(io) => {
                    if let Err(error) = ready!(Self::poll_bytes(io, cx)) {
                        debug!(%error, "parked connection failed");
                        self.state = State::Over;
                        continue;
                    }
                    self.deadlines.set_parked(false);
                    self.unpark();
                }
                State::Serving(connection) => {
                    let ended = Pin::new(&mut **connection).poll(cx);
                    let was_kept_open = self.deadlines.is_kept_open();
                    self.deadlines.keep_open(false);
                    match ended {
                        Poll::Ready(Ok(())) if was_kept_open => self.take_stream(),
                        ended => return ended,
                    }
                }
            }
        }
    }
}

impl<S, T, B> Protocol for Http1<'_, S, T>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T: HttpService<Incoming, ResBody = B> + Clone + Unpin,
    T::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    type Error = hyper::Error;

    fn graceful_shutdown(mut self: Pin<&mut Self>) {
        self.unpark();
        if let State::Serving(connection) = &mut self.state {
            Pin::new(&mut **connection).graceful_shutdown();
        }
    }

    fn into_lingering(self: Pin<Box<Self>>) -> Option<LingeringClose> {
        let Self {
            state, deadlines, ..
        } = *Pin::into_inner(self);
        let State::Serving(ended) = state else {
            return None;
        };
        let parts = ended.into_parts()?;
        let stream = parts.io.into_inner();
        let is_read = parts.read_buf.is_empty() && !deadlines.has_unread_request();
        (stream.is_shut_down() && !is_read)
            .then(|| LingeringClose::new(stream, deadlines.answered()))
    }

    /// An idle connection closes without a word.
    fn announces_end(&self) -> bool {
        false
    }

    /// Shuts the protocol down, which it does at once because it is idle. The stream stays open, and is parked.
    fn park(mut self: Pin<&mut Self>) {
        self.deadlines.keep_open(true);
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

    use super::super::received_bytes::ReceivedBytes;
    use super::*;

    async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(Response::new(Full::from("yes")))
    }

    fn is_parked<S, T: HttpService<Incoming>>(connection: &Http1<'_, S, T>) -> bool {
        matches!(connection.state, State::Parked(_))
    }

    #[tokio::test]
    async fn a_connection_is_parked_between_two_requests_and_serves_the_next() {
        let (mut client, server) = duplex(65_536);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (deadlines, builder) = (Deadlines::new(false), http1::Builder::new());
        let received = ReceivedBytes::new(8192);
        let stream = TrackedStream::new(server, Arc::clone(&deadlines), permit)
            .recording_reads(Arc::clone(&received));
        let service = service_fn(answer);
        let mut connection = Box::pin(Http1::new(&builder, stream, service, deadlines.clone()));
        for _ in 0..3 {
            client
                .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: #\r\n\r\n")
                .await
                .unwrap();
            assert!(connection.as_mut().now_or_never().is_none());
            let mut answer = [0; 1024];
            let len = client.read(&mut answer).await.unwrap();
            assert!(answer[..len].ends_with(b"\r\n\r\nyes"));
            assert!(!received.is_empty());

            connection.as_mut().park();
            assert!(connection.as_mut().now_or_never().is_none());
            assert!(is_parked(&connection) && received.is_empty());
        }
        connection.as_mut().graceful_shutdown();
        connection.await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_start_of_a_request_that_came_early_is_not_lost() {
        let (mut client, server) = duplex(65_536);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (deadlines, builder) = (Deadlines::new(false), http1::Builder::new());
        let stream = TrackedStream::new(server, Arc::clone(&deadlines), permit);
        let service = service_fn(answer);
        let mut connection = Box::pin(Http1::new(&builder, stream, service, deadlines.clone()));
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HT")
            .await
            .unwrap();
        assert!(connection.as_mut().now_or_never().is_none());
        connection.as_mut().park();
        assert!(connection.as_mut().now_or_never().is_none());
        assert!(!is_parked(&connection));

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
        let (mut client, server) = duplex(65_536);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (deadlines, builder) = (Deadlines::new(false), http1::Builder::new());
        let stream = TrackedStream::new(server, Arc::clone(&deadlines), permit);
        let service = service_fn(answer);
        let mut connection = Box::pin(Http1::new(&builder, stream, service, deadlines.clone()));
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        assert!(connection.as_mut().now_or_never().is_none());
        connection.as_mut().park();
        assert!(connection.as_mut().now_or_never().is_none());
        client.shutdown().await.unwrap();
        connection.await.unwrap();
    }
}
