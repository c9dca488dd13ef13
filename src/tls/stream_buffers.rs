//! Buffers for bytes on their way through TLS streams. The connections of one worker take them in turn, so that an idle
//! connection has none. Knows no TLS.

use std::io::{self, Read};
use std::task::{Poll, ready};

use parking_lot::Mutex;
use tokio::io::ReadBuf;

/// Most bytes that are copied at once. glibc copies larger blocks with `rep movsb`, which is several times slower on some
/// processors when source and destination are aligned differently. Its threshold is 4 KiB with AVX2 and 8 KiB with AVX-512.
pub(super) const PIECE: usize = 4096 - 64;
/// Bytes of one buffer.
const SIZE: usize = 32 * 1024;
/// Buffers that a worker keeps for the next connection that needs one.
const MOST_FREE: usize = 8;

/// The free buffers of one worker.
#[derive(Debug, Default)]
pub struct StreamBuffers {
    free: Mutex<Vec<Buffer>>,
}

impl StreamBuffers {
    /// Takes an empty buffer.
    pub(super) fn take(&self) -> Buffer {
        self.free.lock().pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(super) fn put_back(&self, mut buffer: Buffer) {
        buffer.clear();
        let mut free = self.free.lock();
        if free.len() < MOST_FREE {
            free.push(buffer);
        }
    }

    /// Has `read` fill a buffer. Returns the buffer, or `None` if there was nothing to read.
    pub(super) fn read(
        &self,
        read: impl FnOnce(&mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<Option<Buffer>>> {
        let mut free = self.free.lock();
        if free.is_empty() {
            free.push(Buffer::default());
        }
        let buffer = free.last_mut().expect("there is one now");
        let mut bytes = ReadBuf::new(&mut buffer.bytes);
        ready!(read(&mut bytes))?;
        buffer.end = bytes.filled().len();
        Poll::Ready(Ok(if buffer.is_empty() { None } else { free.pop() }))
    }
}

/// A buffer of fixed size.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            bytes: vec![0; SIZE].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }
}

impl Buffer {
    /// Returns the bytes that are in it.
    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Appends `bytes`, for which there must be room.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        self.bytes[self.end..end].copy_from_slice(bytes);
        self.end = end;
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

impl Read for Buffer {
    /// Copies piece by piece.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let filled = self.filled();
        let len = filled.len().min(into.len());
        let pieces = filled[..len].chunks(PIECE);
        for (piece, into) in pieces.zip(into.chunks_mut(PIECE)) {
            into[..piece.len()].copy_from_slice(piece);
        }
        self.start += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_gives_back_what_was_put_into_it() {
        let bytes: Vec<u8> = (0..20_000_u32).map(|it| it.to_le_bytes()[0]).collect();
        let mut buffer = Buffer::default();
        for piece in bytes.chunks(999) {
            buffer.append(piece);
        }
        let mut first = vec![0; 9000];
        buffer.read_exact(&mut first).unwrap();
        let mut rest = Vec::new();
        buffer.read_to_end(&mut rest).unwrap();
        assert_eq!([first, rest].concat(), bytes);
        assert!(buffer.is_empty());
    }

    #[test]
    fn buffers_come_back_empty_and_only_some_are_kept() {
        let buffers = StreamBuffers::default();
        let taken: Vec<_> = (0..2 * MOST_FREE).map(|_| buffers.take()).collect();
        for mut buffer in taken {
            buffer.append(b"secret");
            buffers.put_back(buffer);
        }
        assert_eq!(buffers.free.lock().len(), MOST_FREE);
        assert!(buffers.take().is_empty());
    }

    #[test]
    fn a_read_of_nothing_leaves_the_buffer_to_others() {
        let buffers = StreamBuffers::default();
        assert!(buffers.read(|_| Poll::Pending).is_pending());
        let end = buffers.read(|_| Poll::Ready(Ok(())));
        assert!(matches!(end, Poll::Ready(Ok(None))));
        let failed = buffers.read(|_| Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())));
        assert!(matches!(failed, Poll::Ready(Err(_))));
        assert_eq!(buffers.free.lock().len(), 1);

        let some = buffers.read(|bytes| {
            bytes.put_slice(b"some");
            Poll::Ready(Ok(()))
        });
        let Poll::Ready(Ok(Some(buffer))) = some else {
            panic!("{some:?}");
        };
        assert_eq!(buffer.filled(), b"some");
        assert!(buffers.free.lock().is_empty());
    }
}
