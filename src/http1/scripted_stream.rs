//! Byte stream for tests, whose reads and writes are cut as a test wants.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Stream that yields given pieces, each after a pending read, and records what is written to it.
#[derive(Debug, Default)]
pub(super) struct ScriptedStream {
    pieces: VecDeque<Vec<u8>>,
    /// `true` if the next read is pending.
    is_pending: bool,
    /// `true` if the stream ends after the last piece. Otherwise all further reads are pending.
    ends: bool,
    /// Maximum number of bytes per write; each second write is then pending.
    write_limit: Option<usize>,
    is_write_pending: bool,
    /// `true` if all writes fail.
    pub(super) is_broken: bool,
    pub(super) written: Vec<u8>,
    pub(super) writes: usize,
    pub(super) vectored_writes: usize,
    pub(super) is_shut_down: bool,
}

impl ScriptedStream {
    /// A stream that yields these pieces, and then is silent.
    pub(super) fn of<P: AsRef<[u8]>>(pieces: impl IntoIterator<Item = P>) -> Self {
        let mut stream = Self::default();
        for piece in pieces {
            stream.add(piece);
        }
        stream
    }

    /// A stream that yields these pieces, and then ends.
    pub(super) fn ending<P: AsRef<[u8]>>(pieces: impl IntoIterator<Item = P>) -> Self {
        Self {
            ends: true,
            ..Self::of(pieces)
        }
    }

    /// Adds a piece.
    pub(super) fn add(&mut self, piece: impl AsRef<[u8]>) {
        self.pieces.push_back(piece.as_ref().to_vec());
        self.is_pending = true;
    }

    /// Ends the stream after its last piece.
    pub(super) fn end(&mut self) {
        self.ends = true;
    }

    /// Takes at most `limit` bytes per write.
    pub(super) fn limit_writes(&mut self, limit: usize) {
        self.write_limit = Some(limit);
    }
}

impl AsyncRead for ScriptedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.is_pending, false) {
            return Poll::Pending;
        }
        let Some(mut piece) = self.pieces.pop_front() else {
            return if self.ends {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
        };
        let taken = piece.len().min(buf.remaining());
        buf.put_slice(&piece[..taken]);
        if taken < piece.len() {
            self.pieces.push_front(piece.split_off(taken));
        } else {
            self.is_pending = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl ScriptedStream {
    fn take(&mut self, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut taken = buf.len();
        if let Some(limit) = self.write_limit {
            self.is_write_pending = !self.is_write_pending;
            if self.is_write_pending {
                return Poll::Pending;
            }
            taken = taken.min(limit);
        }
        self.writes += 1;
        self.written.extend_from_slice(&buf[..taken]);
        Poll::Ready(Ok(taken))
    }
}

impl AsyncWrite for ScriptedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.take(buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = bufs.iter().flat_map(|buf| buf.iter().copied());
        let bytes: Vec<_> = bytes.collect();
        self.vectored_writes += 1;
        self.take(&bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut_down = true;
        Poll::Ready(Ok(()))
    }
}
