//! A tunnel's stream, whose bytes count for the request that the tunnel began with.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::entry::LogEntry;

/// The backend's side of a tunnel: what is read from it is sent to the client.
#[derive(Debug)]
pub(in crate::proxy) struct CountedStream<S> {
    inner: S,
    entry: Option<Box<LogEntry>>,
}

impl<S> CountedStream<S> {
    /// Counts for `entry`, which ends with the stream.
    pub(in crate::proxy) fn new(inner: S, entry: Option<Box<LogEntry>>) -> Self {
        Self { inner, entry }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Some(entry) = &mut self.entry {
            entry.sent((buf.filled().len() - before) as u64);
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
