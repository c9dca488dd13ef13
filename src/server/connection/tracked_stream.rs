//! The byte stream of a client connection. Records reads and blocked writes for the deadlines, keeps the end of what the client
//! sends from a protocol that still has to answer, and holds the connection's slot: a tunnel keeps all this after the HTTP
//! connection is over.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::deadlines::Deadlines;
use super::half_close::HalfClose;
use super::received_bytes::ReceivedBytes;
use crate::figures::OpenConnection;
use crate::server::accept::ConnectionSlot;

#[derive(Debug)]
pub(in crate::server) struct TrackedStream<S> {
    inner: S,
    unread: Bytes,
    half_close: Option<HalfClose>,
    /// Time that an answer may pause after the client has closed its sending side.
    answer_wait: Duration,
    received: Option<Arc<ReceivedBytes>>,
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
            unread: Bytes::new(),
            half_close: None,
            answer_wait: Duration::ZERO,
            received: None,
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

    /// Records in `received` what is read.
    pub(in crate::server) fn recording_reads(self, received: Arc<ReceivedBytes>) -> Self {
        Self {
            received: Some(received),
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

    /// Forgets what was read, since the protocol has used or given back all of it.
    pub(super) fn forget_reads(&self) {
        if let Some(received) = &self.received {
            received.clear();
        }
    }

    /// Records that bytes were read, those in `buf` after the first `before`.
    fn bytes_read(&self, buf: &ReadBuf<'_>, before: usize) {
        self.deadlines.bytes_read();
        if let Some(received) = &self.received {
            let left = self.deadlines.upload_left().load(Ordering::Relaxed);
            received.record(&buf.filled()[before..], left);
        }
    }

    /// Puts bytes back that were read too early. Nothing may be left of bytes that were put back before.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
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
        if !self.unread.is_empty() {
            let len = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread[..len]);
            self.unread.advance(len);
            self.bytes_read(buf, before);
            return Poll::Ready(Ok(()));
        }
        if self.half_close.is_none() {
            let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
            if buf.filled().len() > before {
                self.bytes_read(buf, before);
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
        if self.deadlines.is_kept_open() {
            return Poll::Ready(Ok(()));
        }
        let result = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.is_shut_down = matches!(result, Poll::Ready(Ok(())));
        self.record(result)
    }
}
