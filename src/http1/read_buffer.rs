//! Bytes that have arrived and are not used yet.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room for the first read, which holds most heads with small bodies.
const SMALL_READ: usize = 8 * 1024;
/// Room for a read after one that was large.
const LARGE_READ: usize = 16 * 1024;

/// Bytes that have arrived and are not used yet. Bodies are split off without a copy.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    pub(super) bytes: BytesMut,
    /// Room for the next read.
    room: usize,
}

impl ReadBuffer {
    pub(super) fn new() -> Self {
        Self {
            bytes: BytesMut::new(),
            room: SMALL_READ,
        }
    }

    /// Reads once from `stream`. Returns the number of bytes, which is 0 at its end.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() - self.bytes.len() < self.room {
            self.bytes.reserve(self.room);
        }
        let read = ready!(pin!(stream.read_buf(&mut self.bytes)).poll(cx))?;
        self.room = if read < SMALL_READ {
            SMALL_READ
        } else {
            LARGE_READ
        };
        Poll::Ready(Ok(read))
    }
}
