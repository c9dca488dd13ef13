//! The backend's stream of a tunnel, with its bytes counted for the access log and the figures of its site.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::entry::LogEntry;
use crate::figures::CountedTunnel;

/// The backend's side of a tunnel. The bytes read from it are the ones sent to the client.
#[derive(Debug)]
pub(crate) struct CountedStream<S> {
    inner: S,
    entry: Option<Box<LogEntry>>,
    counted: Option<CountedTunnel>,
}

impl<S> CountedStream<S> {
    /// Counts the bytes in `entry` and `counted`, which end with the stream.
    pub(crate) fn new(
        inner: S,
        entry: Option<Box<LogEntry>>,
        counted: Option<CountedTunnel>,
    ) -> Self {
        Self {
            inner,
            entry,
            counted,
        }
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
        let read = buf.filled().len() - before;
        if let Some(entry) = &mut self.entry {
            entry.sent(read as u64);
        }
        if let Some(counted) = &self.counted {
            counted.figures().sent(read);
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
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let (Some(counted), Poll::Ready(Ok(len))) = (&self.counted, &written) {
            counted.figures().received(*len);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
