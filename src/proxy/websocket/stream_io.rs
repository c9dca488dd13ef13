//! Byte I/O over an HTTP/2 stream that has become a tunnel (RFC 8441 section 5).

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

use crate::memory::{ConnectionMemory, HeldBytes, Repayment, Transfer, piece_size};

/// Reads and writes the stream. Dropping it ends the stream after the written bytes are sent.
pub struct StreamIo {
    receive: RecvStream,
    send: SendStream<HeldBytes>,
    unread: Bytes,
    is_shut: bool,
    memory: Arc<ConnectionMemory>,
    repayment: Repayment,
    upload: Option<Transfer>,
    on_reset: Option<Box<dyn FnOnce() + Send + Sync>>,
    _hold: Box<dyn Any + Send + Sync>,
}

/// Future stream of a CONNECT request, which exists once the request was answered with success. The server stores it in
/// the request's extensions. Of its clones, only one gets the stream.
#[derive(Clone, Debug)]
pub struct OnTunnel(Arc<Mutex<Option<oneshot::Receiver<StreamIo>>>>);

impl OnTunnel {
    /// Creates the sender of the stream and its receiver.
    #[must_use]
    pub fn new() -> (oneshot::Sender<StreamIo>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(Arc::new(Mutex::new(Some(receiver)))))
    }

    /// Waits for the stream. `None` if the request was not answered with success.
    pub(crate) async fn stream(self) -> Option<StreamIo> {
        let receiver = self.0.lock().take();
        receiver?.await.ok()
    }
}

impl StreamIo {
    /// Reads from `receive` and writes to `send`. What waits to be written is counted in `memory`. `hold` is dropped together
    /// with them.
    #[must_use]
    pub fn new(
        receive: RecvStream,
        send: SendStream<HeldBytes>,
        memory: Arc<ConnectionMemory>,
        hold: impl Any + Send + Sync,
    ) -> Self {
        Self {
            receive,
            send,
            unread: Bytes::new(),
            is_shut: false,
            memory,
            repayment: Repayment::default(),
            upload: None,
            on_reset: None,
            _hold: Box::new(hold),
        }
    }

    /// Records in `upload` how much is read.
    #[must_use]
    pub fn recording(mut self, upload: Option<Transfer>) -> Self {
        self.upload = upload;
        self
    }

    /// Calls `count` if the client resets the stream.
    #[must_use]
    pub fn on_reset(mut self, count: impl FnOnce() + Send + Sync + 'static) -> Self {
        self.on_reset = Some(Box::new(count));
        self
    }

    /// Handles an error of the stream.
    fn fail(&mut self, error: h2::Error) -> io::Error {
        if error.is_reset()
            && error.is_remote()
            && let Some(count) = self.on_reset.take()
        {
            count();
        }
        broken(error)
    }
}

impl Drop for StreamIo {
    /// Ends the stream. Otherwise it would be reset, and bytes that are not sent yet would be lost.
    fn drop(&mut self) {
        if !self.is_shut {
            let _ = self.send.send_data(HeldBytes::default(), true);
        }
    }
}

/// Waits until the client can take some of `len` bytes, and returns how many.
///
/// Call this only when there is something to send, since a reservation takes a part of the connection's window that other
/// streams wait for.
fn poll_room(
    stream: &mut SendStream<HeldBytes>,
    len: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, h2::Error>> {
    stream.reserve_capacity(len);
    while stream.capacity() == 0 {
        match ready!(stream.poll_capacity(cx)) {
            Some(capacity) => drop(capacity?),
            None => return Poll::Ready(Err(Reason::STREAM_CLOSED.into())),
        }
    }
    Poll::Ready(Ok(stream.capacity().min(len)))
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
                Some(Err(error)) => return Poll::Ready(Err(self.fail(error))),
                None => return Poll::Ready(Ok(())),
            };
        }
        let len = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..len]);
        self.unread.advance(len);
        if let Some(upload) = &mut self.upload {
            upload.record(len);
        }
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
        // No more than the client's window, or the library would hold the rest for as long as the window stays shut.
        let this = &mut *self;
        ready!(this.repayment.poll(&this.memory, cx));
        let len = ready!(poll_room(&mut this.send, buf.len(), cx)).map_err(broken)?;
        let held = this.memory.owe(piece_size(len));
        let data = HeldBytes::new(Bytes::copy_from_slice(&buf[..len]), held);
        this.send.send_data(data, false).map_err(broken)?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection sends buffered data on its own.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.is_shut, true) {
            self.send
                .send_data(HeldBytes::default(), true)
                .map_err(broken)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for StreamIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamIo").finish_non_exhaustive()
    }
}
