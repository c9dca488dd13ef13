//! The byte stream of a client connection. Records reads and blocked writes for the deadlines, keeps the end of what the client
//! sends from a protocol that still has to answer, and holds the connection's slot: a tunnel keeps all this after the HTTP
//! connection is over.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::deadlines::Deadlines;
use super::half_close::HalfClose;
use crate::figures::OpenConnection;
use crate::server::accept::ConnectionSlot;

#[derive(Debug)]
pub(in crate::server) struct TrackedStream<S> {
    inner: S,
    half_close: Option<HalfClose>,
    /// Time that an answer may pause after the client has closed its sending side.
    answer_wait: Duration,
    deadlines: Arc<Deadlines>,
    is_shut_down: bool,
    _slot: ConnectionSlot,
    _counted: Option<OpenConnection>,
}

impl<S> TrackedStream<S> {
    pub(in crate::server) fn new(
        inner: S,
        deadlines: Arc<Deadlines>,
        slot: impl Into<ConnectionSlot>,
    ) -> Self {
        Self {
            inner,
            half_close: None,
            answer_wait: Duration::ZERO,
            deadlines,
            is_shut_down: false,
            _slot: slot.into(),
            _counted: None,
        }
    }

    /// Counts the connection as open until the stream is closed.
    pub(super) fn counted(self, counted: OpenConnection) -> Self {
        Self {
            _counted: Some(counted),
            ..self
        }
    }

    /// Keeps the end of what the client sends from the protocol while an answer makes progress within each `answer_wait`.
    pub(super) fn awaiting_answers(self, answer_wait: Duration) -> Self {
        Self {
            answer_wait,
            ..self
        }
    }

    /// `true` once the sending side is closed, after all that was written.
    pub(super) fn is_shut_down(&self) -> bool {
        self.is_shut_down
    }

    /// Returns the deadlines of the connection.
    pub(super) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    fn record_written(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Some(half_close), true) = (&mut self.half_close, result.is_ready()) {
            half_close.written();
        }
        self.record(result)
    }

    fn record<T>(&self, result: Poll<T>) -> Poll<T> {
        if result.is_pending() {
            self.deadlines.write_blocked();
        } else {
            self.deadlines.write_unblocked();
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.half_close.is_none() {
            let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
            if buf.filled().len() > before {
                self.deadlines.bytes_read();
                return Poll::Ready(Ok(()));
            }
            if !is_end(&read) || self.deadlines.wait_after_end(self.answer_wait).is_none() {
                return Poll::Ready(read);
            }
        }
        let this = &mut *self;
        let half_close = this
            .half_close
            .get_or_insert_with(|| HalfClose::new(this.answer_wait));
        half_close.poll_over(&this.deadlines, cx).map(Ok)
    }
}

/// `true` if the client sends no more. Many clients close a TLS connection without saying so in TLS.
fn is_end(read: &io::Result<()>) -> bool {
    match read {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::UnexpectedEof,
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.record_written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.record_written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(cx);
        let this = &mut *self;
        if let (Some(half_close), true) = (&mut this.half_close, result.is_ready()) {
            half_close.flushed(&this.deadlines);
        }
        self.record(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.is_shut_down = matches!(result, Poll::Ready(Ok(())));
        self.record(result)
    }
}
