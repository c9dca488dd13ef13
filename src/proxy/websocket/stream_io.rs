//! The bytes of an HTTP/2 stream that has become a tunnel (RFC 8441 section 5).

use std::any::Any;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// Reads and writes the stream. What has been written is sent also when it is dropped, and then the stream ends.
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
    pub(in crate::proxy) async fn stream(self) -> Option<StreamIo> {
        let receiver = self.0.lock().take();
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
}

impl Drop for StreamIo {
    /// A stream that is left without an end is reset, and with it goes what is still to be sent.
    fn drop(&mut self) {
        if !self.is_shut {
            let _ = self.send.send_data(Bytes::new(), true);
        }
    }
}

/// Waits until the client takes something on `stream`; a whole piece may be sent then. What is asked for is one byte, and only
/// once there is something to send: a claim holds a part of the connection's window, which other streams wait for.
pub fn poll_room(
    stream: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), h2::Error>> {
    stream.reserve_capacity(1);
    while stream.capacity() == 0 {
        match ready!(stream.poll_capacity(cx)) {
            Some(room) => drop(room?),
            None => return Poll::Ready(Err(Reason::STREAM_CLOSED.into())),
        }
    }
    Poll::Ready(Ok(()))
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
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
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
        ready!(poll_room(&mut self.send, cx)).map_err(broken)?;
        let data = Bytes::copy_from_slice(buf);
        self.send.send_data(data, false).map_err(broken)?;
        Poll::Ready(Ok(buf.len()))
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
