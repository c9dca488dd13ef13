//! One HTTP/1.1 connection to a backend, and the lease that a request has on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::client::conn::http1::SendRequest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::backend::InFlight;
use super::body::RequestBody;

/// A connection that carries one request at a time. Dropping it closes it, after an upload that is still under way.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    /// Whether a byte has arrived since the flag was last cleared.
    pub(super) heard: Arc<AtomicBool>,
}

/// The one exchange that a connection is used for.
///
/// A lease that is dropped instead of released takes the connection with it: what is left of the response must never meet
/// another request.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Connection,
    in_flight: InFlight,
    is_reused: bool,
    is_last: bool,
}

impl Lease {
    pub(super) fn reused(connection: Connection, in_flight: InFlight) -> Self {
        connection.heard.store(false, Ordering::Relaxed);
        let mut lease = Self::fresh(connection, in_flight);
        lease.is_reused = true;
        lease
    }

    pub(super) fn fresh(connection: Connection, in_flight: InFlight) -> Self {
        Self {
            connection,
            in_flight,
            is_reused: false,
            is_last: false,
        }
    }

    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether any byte has arrived since the lease began.
    pub(super) fn has_heard(&self) -> bool {
        self.connection.heard.load(Ordering::Acquire)
    }

    pub(super) fn sender(&mut self) -> &mut SendRequest<RequestBody> {
        &mut self.connection.sender
    }

    /// Lets no other request have the connection.
    pub(super) fn make_last(&mut self) {
        self.is_last = true;
    }

    /// Gives the connection back after a response that ended as it should.
    pub(super) fn release(self) {
        if !self.is_last {
            self.in_flight.backend().pool.check_in(self.connection);
        }
    }

    /// Gives the connection up, to be cut or to the protocol that it switches to, while the backend still counts as busy.
    pub(super) fn into_in_flight(self) -> InFlight {
        self.in_flight
    }
}

/// A TCP stream that notes whether anything was read from it.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    heard: Arc<AtomicBool>,
    _place: OwnedSemaphorePermit,
}

impl Wire {
    /// The wire keeps its place among the open connections for as long as it lives, in a tunnel too.
    pub(super) fn new(
        stream: TcpStream,
        heard: Arc<AtomicBool>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            stream,
            heard,
            _place: place,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.store(true, Ordering::Release);
        }
        outcome
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
