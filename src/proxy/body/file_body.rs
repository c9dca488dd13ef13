//! The body of a file, read in pieces on threads for blocking work.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::upstream::BodyError;

/// Maximum number of bytes read at once, which is also the memory that a slow client holds.
const PIECE: u64 = 128 * 1024;

/// A part of a file. The body breaks off if the file was shortened after it was opened.
#[derive(Debug)]
pub(crate) struct FileBody {
    file: Arc<File>,
    left: Range<u64>,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl FileBody {
    pub(crate) fn new(file: File, part: Range<u64>) -> Self {
        Self {
            file: Arc::new(file),
            left: part,
            reading: None,
        }
    }

    fn read(&self) -> JoinHandle<io::Result<Vec<u8>>> {
        let (file, offset) = (Arc::clone(&self.file), self.left.start);
        let len = usize::try_from((self.left.end - offset).min(PIECE)).unwrap_or(usize::MAX);
        spawn_blocking(move || {
            let mut piece = vec![0; len];
            let read = file.read_at(&mut piece, offset)?;
            piece.truncate(read);
            Ok(piece)
        })
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.read(),
        };
        let Poll::Ready(read) = Pin::new(&mut reading).poll(cx) else {
            self.reading = Some(reading);
            return Poll::Pending;
        };
        let piece = match read.map_err(io::Error::other).flatten() {
            Ok(piece) if piece.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            piece => piece,
        };
        Poll::Ready(Some(match piece {
            Ok(piece) => {
                self.left.start += piece.len() as u64;
                Ok(Frame::data(piece.into()))
            }
            Err(error) => {
                self.left = 0..0;
                Err(BodyError::File(error))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.end - self.left.start)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_large_part_is_read_whole_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..300_000_u32).map(|index| (index % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let body = FileBody::new(File::open(&path).unwrap(), 1..299_999);
        assert_eq!(body.size_hint().exact(), Some(299_998));
        let read = body.collect().await.unwrap().to_bytes();
        assert!(read == bytes[1..299_999]);
    }

    #[tokio::test]
    async fn a_shortened_file_breaks_the_body_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        let body = FileBody::new(File::open(&path).unwrap(), 0..10);
        let error = body.collect().await.unwrap_err();
        assert!(matches!(error, BodyError::File(_)), "{error}");
    }
}
