//! One direction of a tunnel: bytes that are read from one side and written to the other.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;

/// Most bytes of one read.
const READ: usize = 32 * 1024;

thread_local! {
    /// Memory that the tunnels of one worker read into in turns, so that a silent tunnel has none.
    static SHARED: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// One direction of a tunnel.
#[derive(Debug)]
pub(super) struct Direction {
    state: State,
    /// Bytes that were read and that the other side has not taken yet.
    unwritten: Vec<u8>,
    must_flush: bool,
    /// `true` if bytes were written since [`Self::take_moved`] was called.
    has_moved: bool,
    /// Position in the frames, if the tunnel is a WebSocket.
    frames: Option<Frames>,
    /// Close frame that is written at the end of the current frame.
    close: Option<Vec<u8>>,
    /// Error of the reading side, which counts when all that it has sent before is on its way.
    failure: Option<io::Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bytes are passed on.
    Copying,
    /// The reading side has ended; the other side is to be told.
    Ending,
    /// The other side was told.
    Ended,
    /// A close frame was the last thing that was written. What comes now is dropped.
    Closed,
    /// As before, and the reading side has ended.
    ClosedAndEnded,
}

impl Direction {
    /// Creates a direction in which nothing was read yet. `is_web_socket` has it follow the frames.
    pub(super) fn new(is_web_socket: bool) -> Self {
        Self {
            state: State::Copying,
            unwritten: Vec::new(),
            must_flush: false,
            has_moved: false,
            frames: is_web_socket.then(Frames::default),
            close: None,
            failure: None,
        }
    }

    /// Has `frame` written after the frame that is on its way, and nothing after it.
    pub(super) fn close_with(&mut self, frame: Vec<u8>) {
        if self.state == State::Copying {
            self.close = Some(frame);
        }
    }

    /// `true` if nothing is left to be written, the close frame included.
    pub(super) fn is_written(&self) -> bool {
        self.close.is_none() && self.unwritten.is_empty() && !self.must_flush
    }

    /// `true` once the reading side has said that it sends nothing more.
    pub(super) fn is_reader_done(&self) -> bool {
        let has_closed = self.frames.as_ref().is_some_and(Frames::has_closed);
        has_closed
            || self.failure.is_some()
            || !matches!(self.state, State::Copying | State::Closed)
    }

    /// `true` if the other side does not take what was read.
    pub(super) fn is_blocked(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Returns whether bytes were written since the last call.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.has_moved)
    }

    /// Passes bytes on until one of both sides is not ready.
    pub(super) fn poll<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.poll_unwritten(writer, cx))?;
            if self.failure.is_some() {
                ready!(self.poll_flush(writer, cx))?;
                return Poll::Ready(self.failure.take().map_or(Ok(()), Err));
            }
            if self.is_between_frames()
                && let Some(frame) = self.close.take()
            {
                self.unwritten = frame;
                self.state = State::Closed;
                continue;
            }
            match self.state {
                State::Ending => {
                    ready!(Pin::new(writer).poll_shutdown(cx))?;
                    self.state = State::Ended;
                    return Poll::Ready(Ok(()));
                }
                State::Ended | State::ClosedAndEnded => return Poll::Ready(Ok(())),
                State::Copying | State::Closed => {}
            }
            if self.poll_chunk(reader, writer, cx)?.is_pending() {
                ready!(self.poll_flush(writer, cx))?;
                return Poll::Pending;
            }
        }
    }

    fn is_between_frames(&self) -> bool {
        self.frames.as_ref().is_some_and(Frames::is_between)
    }

    /// Writes what was read before.
    fn poll_unwritten<W>(&mut self, writer: &mut W, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        if self.unwritten.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let unwritten = std::mem::take(&mut self.unwritten);
        let len = self.write(&unwritten, writer, cx)?;
        if len == unwritten.len() {
            return Poll::Ready(Ok(()));
        }
        self.unwritten = unwritten;
        self.unwritten.drain(..len);
        ready!(self.poll_flush(writer, cx))?;
        Poll::Pending
    }

    /// Reads once, and writes what was read. `Ready` if there may be more to read.
    fn poll_chunk<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> io::Result<Poll<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut memory = SHARED.take().unwrap_or_else(|| vec![0; READ].into());
        let mut chunk = ReadBuf::new(&mut memory);
        let outcome = match Pin::new(reader).poll_read(cx, &mut chunk) {
            Poll::Ready(Ok(())) => self.pass_on(chunk.filled(), writer, cx).map(Poll::Ready),
            Poll::Ready(Err(error)) => {
                self.failure = Some(error);
                Ok(Poll::Ready(()))
            }
            Poll::Pending => Ok(Poll::Pending),
        };
        SHARED.set(Some(memory));
        outcome
    }

    /// Writes a chunk that was read, or keeps what the other side does not take. An empty one is the end.
    fn pass_on<W>(&mut self, chunk: &[u8], writer: &mut W, cx: &mut Context<'_>) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        if chunk.is_empty() {
            self.state = match self.state {
                State::Closed => State::ClosedAndEnded,
                _ => State::Ending,
            };
            return Ok(());
        }
        let wanted = match self.state {
            State::Closed => 0,
            _ => self.end_of_wanted(chunk),
        };
        let len = self.write(&chunk[..wanted], writer, cx)?;
        self.unwritten.extend_from_slice(&chunk[len..wanted]);
        let is_at_end = self.is_between_frames();
        if let Some(frame) = self.close.take_if(|_| is_at_end) {
            self.unwritten.extend(frame);
            self.state = State::Closed;
        }
        if let Some(frames) = &mut self.frames {
            frames.advance(&chunk[wanted..]);
        }
        Ok(())
    }

    /// Follows the frames to the end of `chunk`, or to the end of the first one if a close frame comes after it. Returns the
    /// number of bytes up to there.
    fn end_of_wanted(&mut self, chunk: &[u8]) -> usize {
        match &mut self.frames {
            Some(frames) if self.close.is_some() => frames.advance_to_end(chunk),
            Some(frames) => {
                frames.advance(chunk);
                chunk.len()
            }
            None => chunk.len(),
        }
    }

    /// Writes until all is written or the other side is not ready. Returns the number of bytes that were written.
    fn write<W>(&mut self, bytes: &[u8], writer: &mut W, cx: &mut Context<'_>) -> io::Result<usize>
    where
        W: AsyncWrite + Unpin,
    {
        let mut written = 0;
        while written < bytes.len() {
            match Pin::new(&mut *writer).poll_write(cx, &bytes[written..])? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(len) => {
                    written += len;
                    (self.has_moved, self.must_flush) = (true, true);
                }
                Poll::Pending => break,
            }
        }
        Ok(written)
    }

    fn poll_flush<W>(&mut self, writer: &mut W, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        if self.must_flush {
            ready!(Pin::new(writer).poll_flush(cx))?;
            self.must_flush = false;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, BufWriter, duplex};

    use super::*;

    /// A side that sends some bytes and is reset then.
    struct Reset(&'static [u8]);

    impl AsyncRead for Reset {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            buf.put_slice(std::mem::take(&mut self.0));
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn the_last_bytes_of_a_side_that_is_reset_are_flushed() {
        let (mut client, near) = duplex(64);
        let mut writer = BufWriter::new(near);
        let mut direction = Direction::new(false);
        let mut reader = Reset(b"last");
        let ended = poll_fn(|cx| direction.poll(&mut reader, &mut writer, cx)).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let mut received = [0; 4];
        client.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"last");
    }
}
