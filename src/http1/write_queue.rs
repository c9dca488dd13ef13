//! Bytes that wait to be written.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Maximum size of a piece that is copied behind the bytes before it, so that one write without a list of slices sends
/// both. Larger blocks are slow to copy on some machines.
const COPIED: usize = 4 * 1024;
/// Number of bytes from which nothing more is added before a write.
const FULL: usize = 64 * 1024;
/// Number of pieces that are not copied, from which nothing more is added before a write.
const FULL_PIECES: usize = 8;
/// Memory that an empty queue keeps.
const KEPT: usize = 8 * 1024;

/// Bytes that wait to be written: heads, framing and small pieces of bodies in one buffer, and large pieces between them.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    copied: Vec<u8>,
    /// Number of bytes of `copied` that are written.
    written: usize,
    pieces: VecDeque<Piece>,
    /// Number of bytes in `pieces`.
    in_pieces: usize,
}

/// A piece of a body that is not copied.
#[derive(Debug)]
struct Piece {
    /// Position in `copied` before which the piece is written.
    position: usize,
    data: Bytes,
}

impl WriteQueue {
    /// Buffer to which heads and framing are appended.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.copied
    }

    /// Appends a piece of a body.
    pub(super) fn push(&mut self, data: Bytes) {
        if data.len() <= COPIED {
            self.copied.extend_from_slice(&data);
            return;
        }
        self.in_pieces += data.len();
        self.pieces.push_back(Piece {
            position: self.copied.len(),
            data,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.written == self.copied.len() && self.pieces.is_empty()
    }

    /// `true` if more can be added before the next write.
    pub(super) fn has_room(&self) -> bool {
        self.copied.len() - self.written + self.in_pieces < FULL && self.pieces.len() < FULL_PIECES
    }

    /// Forgets all bytes.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes all bytes to `stream`.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let stream = Pin::new(&mut *stream);
            let written = if self.pieces.is_empty() {
                ready!(stream.poll_write(cx, &self.copied[self.written..]))?
            } else {
                let mut slices = [IoSlice::new(&[]); 2 * FULL_PIECES + 1];
                let count = self.fill(&mut slices);
                ready!(stream.poll_write_vectored(cx, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Sets `slices` to the bytes in their order. Returns the number of slices.
    fn fill<'s>(&'s self, slices: &mut [IoSlice<'s>]) -> usize {
        let mut count = 0;
        let mut add = |bytes: &'s [u8]| {
            if !bytes.is_empty() {
                slices[count] = IoSlice::new(bytes);
                count += 1;
            }
        };
        let mut position = self.written;
        for piece in &self.pieces {
            add(&self.copied[position..piece.position]);
            add(&piece.data);
            position = piece.position;
        }
        add(&self.copied[position..]);
        count
    }

    /// Removes `written` bytes from the front.
    fn advance(&mut self, mut written: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            let before = piece.position - self.written;
            if written < before {
                break;
            }
            written -= before;
            self.written = piece.position;
            let taken = written.min(piece.data.len());
            piece.data.advance(taken);
            self.in_pieces -= taken;
            written -= taken;
            if !piece.data.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        self.written += written;
        if self.is_empty() {
            self.written = 0;
            self.copied.clear();
            if self.copied.capacity() > KEPT {
                self.copied = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::super::scripted_stream::ScriptedStream;
    use super::*;

    /// A queue with pieces of these sizes, and the bytes that it must write.
    fn filled(sizes: &[usize]) -> (WriteQueue, Vec<u8>) {
        let (mut queue, mut expected) = (WriteQueue::default(), Vec::new());
        for (number, size) in sizes.iter().enumerate() {
            queue.buffer().extend_from_slice(b"head");
            expected.extend_from_slice(b"head");
            let piece = Bytes::from(vec![number as u8; *size]);
            expected.extend_from_slice(&piece);
            queue.push(piece);
        }
        (queue, expected)
    }

    #[test]
    fn bytes_keep_their_order_however_they_are_written() {
        for sizes in [&[][..], &[10], &[5000], &[0, 5000, 1, 6000, 4097, 4096]] {
            let length = filled(sizes).1.len();
            for limit in [61, 997, 4000, 4096, 4100, 5004, 9000, length + 1] {
                let (mut queue, expected) = filled(sizes);
                let mut stream = ScriptedStream::default();
                stream.limit_writes(limit);
                let cx = &mut Context::from_waker(Waker::noop());
                while queue.poll_write(&mut stream, cx).is_pending() {}
                assert_eq!(stream.written, expected, "{sizes:?} {limit}");
                assert!(queue.is_empty() && queue.in_pieces == 0);
            }
        }
    }

    #[test]
    fn a_head_and_a_small_piece_leave_in_one_write() {
        let (mut queue, _) = filled(&[1000]);
        let mut stream = ScriptedStream::default();
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(queue.poll_write(&mut stream, cx).is_ready());
        assert_eq!((stream.writes, stream.vectored_writes), (1, 0));
    }

    #[test]
    fn a_full_queue_has_no_room() {
        let (mut queue, _) = filled(&[60_000]);
        assert!(queue.has_room());
        queue.push(Bytes::from_static(&[0; 6000]));
        assert!(!queue.has_room());
        let (queue, _) = filled(&[5000; FULL_PIECES]);
        assert!(!queue.has_room());
    }
}
