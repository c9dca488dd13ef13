//! The bytes of an HTTP/2 stream that has become a tunnel (RFC 8441 section 5).

use std::any::Any;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// Reads and writes the stream. Dropping it resets what has not ended.
pub struct StreamIo {
    receive: RecvStream,
    send: SendStream<Bytes>,
    unread: Bytes,
    is_shut: bool,
    _hold: Box<dyn Any + Send + Sync>,
}

/// Brings a CONNECT's stream once the request has been answered with success. Clones wait for the same one, which one of
/// them gets; it lies in the request's extensions.
#[derive(Clone, Debug)]
pub struct OnTunnel(Arc<Mutex<Option<oneshot::Receiver<StreamIo>>>>);

impl OnTunnel {
    /// The two ends of the way on which the stream goes.
    #[must_use]
    pub fn new() -> (oneshot::Sender<StreamIo>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(Arc::new(Mutex::new(Some(receiver)))))
    }

    /// Waits for the stream. `None` when the request was answered otherwise.
    pub(super) async fn stream(self) -> Option<StreamIo> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        receiver?.await.ok()
    }
}

impl StreamIo {
    /// The bytes that come by `receive` and go by `send`. `hold` is dropped with them.
    #[must_use]
    pub fn new(receive: RecvStream, send: SendStream<Bytes>, hold: impl Any + Send + Sync) -> Self {
        Self {
            receive,
            send,
            unread: Bytes::new(),
            is_shut: false,
            _hold: Box::new(hold),
        }
    }

    /// Waits until something may be sent, and returns how much.
    fn poll_room(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(wanted);
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        Poll::Ready(Ok(self.send.capacity().min(wanted)))
    }
}

fn broken(error: h2::Error) -> io::Error {
    io::Error::other(error)
}

impl AsyncRead for StreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            self.unread = match ready!(self.receive.poll_data(cx)) {
                Some(Ok(data)) => data,
                // Browsers leave in this way.
                Some(Err(error)) => match error.reason() {
                    Some(Reason::NO_ERROR | Reason::CANCEL) => return Poll::Ready(Ok(())),
                    _ => return Poll::Ready(Err(broken(error))),
                },
                None => return Poll::Ready(Ok(())),
            };
        }
        let len = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..len]);
        self.unread.advance(len);
        let window = self.receive.flow_control();
        window.release_capacity(len).map_err(broken)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let len = ready!(self.poll_room(buf.len(), cx)?);
        let data = Bytes::copy_from_slice(&buf[..len]);
        self.send.send_data(data, false).map_err(broken)?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection sends what is there.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.is_shut, true) {
            self.send.send_data(Bytes::new(), true).map_err(broken)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for StreamIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamIo").finish_non_exhaustive()
    }
}
