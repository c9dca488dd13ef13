//! Bytes that have arrived and are not used yet.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Least memory that is allocated. It holds some heads with small bodies.
const SMALL_BUFFER: usize = 8 * 1024;
/// Least room for a read. It holds most heads. What is left of a buffer after some heads serves for the next ones.
const SMALL_READ: usize = 1024;
/// Largest room for a read. Measured with responses of 1 MiB, 32 KiB cost a twentieth more CPU time over HTTP/2, and 64 KiB a
/// fifth more over HTTP/1.1.
const LARGE_READ: usize = 48 * 1024;

/// Bytes that have arrived and are not used yet. Bodies are split off without a copy.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    pub(super) bytes: BytesMut,
    /// Least room for the next read. A read that fills its room doubles it, and a smaller one shrinks it, so that bytes that
    /// are split off keep little more memory than they need.
    room: usize,
    /// `true` if more memory than for a small read may be allocated.
    is_large: bool,
}

impl ReadBuffer {
    pub(super) fn new() -> Self {
        Self {
            bytes: BytesMut::new(),
            room: SMALL_READ,
            is_large: false,
        }
    }

    /// Makes room for the next read for a body of which `missing` bytes are still to come.
    pub(super) fn expect(&mut self, missing: u64) {
        let missing = usize::try_from(missing).unwrap_or(LARGE_READ);
        self.room = missing.clamp(SMALL_READ, LARGE_READ);
    }

    /// Frees the memory of large reads, which an idle connection must not keep.
    pub(super) fn shrink(&mut self) {
        if self.is_large && self.bytes.is_empty() {
            *self = Self::new();
        }
    }

    /// Reads once from `stream`. Returns the number of bytes, which is 0 at its end.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut room = self.bytes.capacity() - self.bytes.len();
        if room < self.room {
            self.bytes.reserve(self.room.max(SMALL_BUFFER));
            self.is_large |= self.room > SMALL_BUFFER;
            room = self.bytes.capacity() - self.bytes.len();
        }
        let read = ready!(pin!(stream.read_buf(&mut self.bytes)).poll(cx))?;
        let next = if read < room { read } else { 2 * read };
        self.room = next.next_power_of_two().clamp(SMALL_READ, LARGE_READ);
        Poll::Ready(Ok(read))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::super::scripted_stream::ScriptedStream;
    use super::*;

    /// Reads all of `stream`, and takes out what each read returns. Returns how much that was.
    fn reads(buffer: &mut ReadBuffer, stream: &mut ScriptedStream) -> Vec<usize> {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut reads = Vec::new();
        let mut taken = Vec::new();
        loop {
            match buffer.poll_fill(stream, cx) {
                Poll::Ready(Ok(0)) => return reads,
                Poll::Ready(read) => {
                    reads.push(read.unwrap());
                    // Kept, as a body that is on its way to the client keeps its memory.
                    taken.push(buffer.bytes.split().freeze());
                }
                Poll::Pending => {}
            }
        }
    }

    #[test]
    fn reads_grow_with_what_arrives() {
        let kib = 1024;
        let mut stream = ScriptedStream::ending([vec![b'x'; 256 * kib]]);
        let mut buffer = ReadBuffer::new();
        let sizes = reads(&mut buffer, &mut stream);
        assert_eq!(sizes[..4], [8, 16, 32, 48].map(|size| size * kib));
        assert!(sizes.iter().all(|size| *size <= LARGE_READ), "{sizes:?}");

        let mut stream = ScriptedStream::ending([vec![b'x'; 48 * kib]]);
        let mut buffer = ReadBuffer::new();
        buffer.expect(48 * 1024);
        assert_eq!(reads(&mut buffer, &mut stream), [48 * kib]);
    }

    #[test]
    fn small_pieces_keep_little_memory() {
        let pieces = (0..100).map(|_| vec![b'x'; 1000]);
        let mut stream = ScriptedStream::ending(pieces);
        let mut buffer = ReadBuffer::new();
        buffer.expect(u64::MAX);
        assert_eq!(reads(&mut buffer, &mut stream).len(), 100);
        assert_eq!(buffer.room, SMALL_READ);
        assert!(buffer.bytes.capacity() <= LARGE_READ);
    }

    #[test]
    fn what_is_left_of_a_buffer_serves_the_next_small_reads() {
        let mut stream = ScriptedStream::of(vec![[b'x'; 100]; 20]);
        let mut buffer = ReadBuffer::new();
        let cx = &mut Context::from_waker(Waker::noop());
        let mut heads = Vec::new();
        while heads.len() < 20 {
            if buffer.poll_fill(&mut stream, cx).is_ready() {
                heads.push(buffer.bytes.split().freeze());
            }
        }
        let starts: Vec<_> = heads.iter().map(|head| head.as_ptr() as usize).collect();
        assert!(starts.windows(2).all(|two| two[1] == two[0] + 100));
    }
}
