//! Bytes that requests and responses over HTTP/2 hold, counted or estimated.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request};

/// Bytes that a running request holds in any case: its task, its state in the library, and a buffer with a small head and the
/// beginning of the response. The buffers of its connection to a backend come on top.
pub const RUNNING_SIZE: usize = 16 * 1024;
/// Bytes that a request holds in any case while it waits to run: its state in the library, and its head without fields.
pub const WAITING_SIZE: usize = 1536;
/// Bytes that a tunnel holds besides: buffers for both directions.
pub const TUNNEL_SIZE: usize = 16 * 1024;
/// Bytes that a field holds besides its name and its value.
const FIELD: usize = 32;
/// Bytes of a response's head that are counted with its request.
pub const SMALL_HEAD: usize = 4 * 1024;
/// Bytes of an upload with a length that are counted with its request.
const SMALL_UPLOAD: usize = 16 * 1024;
/// Bytes that the library holds besides for each chunk that waits to be written.
const CHUNK: usize = 256;
/// Bytes of a buffer that data is read into. A chunk keeps all of it.
const BUFFER: usize = 8 * 1024;
/// Bytes between two chunks in one buffer, such as the size of the second.
const FRAMING: usize = 64;

/// Returns the bytes that a request holds for its own head until its response is written.
#[must_use]
pub fn request_head_size<B>(request: &Request<B>) -> usize {
    let target = request.uri().path_and_query();
    head_size(request.headers()) + target.map_or(0, |target| target.as_str().len())
}

/// Returns the bytes that a head holds: its fields, and the buffer that they were read into or will be written from.
#[must_use]
pub fn head_size(fields: &HeaderMap) -> usize {
    let sizes = fields
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    2 * sizes.sum::<usize>()
}

/// Returns the length of an upload that is known to be small. The library resets a stream that sends more.
#[must_use]
pub fn small_upload_size(fields: &HeaderMap) -> Option<usize> {
    let length = fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    (length <= SMALL_UPLOAD).then_some(length)
}

/// Returns the bytes that a piece of this length holds while it waits to be written, if it has a buffer of its own.
#[must_use]
pub fn piece_size(len: usize) -> usize {
    CHUNK + len
}

/// Finds out how much the chunks of one response hold.
#[derive(Debug, Default)]
pub struct ChunkSizes {
    /// Address after the last chunk; `None` before the first one.
    last_end: Option<usize>,
}

impl ChunkSizes {
    /// Returns the bytes that the next chunk holds: its buffer, unless that is the buffer of the last one. The first buffer is
    /// counted with the request, as far as it is not large.
    #[must_use]
    pub fn of(&mut self, chunk: &Bytes) -> usize {
        let range = chunk.as_ptr_range();
        let last_end = self.last_end.replace(range.end.addr());
        let size = match last_end {
            None => chunk.len().saturating_sub(BUFFER),
            Some(end) if range.start.addr().wrapping_sub(end) < FRAMING => chunk.len(),
            Some(_) => chunk.len().max(BUFFER),
        };
        CHUNK + size
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn each_buffer_is_counted_once() {
        let buffer = Bytes::from(vec![0; BUFFER]);
        let other = Bytes::from(vec![0; BUFFER]);
        let mut sizes = ChunkSizes::default();
        let counted = [
            buffer.slice(10..20),
            buffer.slice(26..30),
            other.slice(..50),
            buffer.slice(1000..1010),
        ]
        .map(|chunk| sizes.of(&chunk) - CHUNK);
        assert_eq!(counted, [0, 4, BUFFER, BUFFER]);
        let large = Bytes::from(vec![0; 10 * BUFFER]);
        assert_eq!(sizes.of(&large), CHUNK + 10 * BUFFER);
        assert_eq!(ChunkSizes::default().of(&large), CHUNK + 9 * BUFFER);
    }

    #[test]
    fn only_uploads_with_a_small_length_are_known_to_be_small() {
        for (length, expected) in [
            (None, None),
            (Some("2"), Some(2)),
            (Some("16384"), Some(16_384)),
            (Some("16385"), None),
            (Some("99999999999999999999"), None),
        ] {
            let mut fields = HeaderMap::new();
            if let Some(length) = length {
                fields.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
            }
            assert_eq!(small_upload_size(&fields), expected, "{length:?}");
        }
    }
}
