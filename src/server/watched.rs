//! The stream of a client connection, which tells its activity, and holds the connection's place
//! for as long as it lives: a tunnel keeps it after the HTTP connection is over.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::crowd::Place;
use super::resets::FrameReader;

#[derive(Debug)]
pub(super) struct Watched<S> {
    inner: S,
    unread: Bytes,
    activity: Arc<Activity>,
    /// Of what HTTP/2 writes.
    frames: Option<FrameReader>,
    _place: Place,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, activity: Arc<Activity>, place: impl Into<Place>) -> Self {
        Self {
            inner,
            unread: Bytes::new(),
            frames: activity.is_h2().then(FrameReader::default),
            activity,
            _place: place.into(),
        }
    }

    /// Gives bytes back that were read too early. There are none that were given back before.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    /// Reads so many bytes of those that were to be written.
    fn wrote(&mut self, bufs: &[io::IoSlice<'_>], mut written: usize) {
        let Some(frames) = &mut self.frames else {
            return;
        };
        for buf in bufs {
            let len = written.min(buf.len());
            frames.read(&buf[..len], self.activity.resets());
            written -= len;
        }
    }

    fn note<T>(&self, result: Poll<T>) -> Poll<T> {
        match result.is_pending() {
            true => self.activity.write_blocked(),
            false => self.activity.written(),
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let len = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread[..len]);
            self.unread.advance(len);
            self.activity.read();
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.activity.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = result {
            self.wrote(&[io::IoSlice::new(buf)], written);
        }
        self.note(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(written)) = result {
            self.wrote(bufs, written);
        }
        self.note(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(cx);
        self.note(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.is_kept_open() {
            return Poll::Ready(Ok(()));
        }
        let result = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.note(result)
    }
}
