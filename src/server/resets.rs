//! The streams that HTTP/2 refuses by itself: nothing else tells of them but the frames that it writes.

use std::sync::atomic::{AtomicU32, Ordering};

/// What stands before each frame (RFC 9113 section 4.1), and the code behind it of one that resets a stream.
const HEAD: usize = 9;
const CODE: usize = 4;
const RST_STREAM: u8 = 3;
/// The codes that the library resets streams with; those of answers are others.
const FAULTS: [u32; 6] = [1, 3, 5, 6, 7, 11];

/// Reads what an HTTP/2 server writes.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    head: [u8; HEAD + CODE],
    known: u8,
    /// What is left of the frame.
    left: u32,
}

/// The streams of a connection that were refused and not told of.
#[derive(Debug, Default)]
pub(super) struct Resets(AtomicU32);

impl Resets {
    /// How many there were since the last call.
    pub(super) fn take(&self) -> u32 {
        match self.0.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.0.swap(0, Ordering::Relaxed),
        }
    }
}

impl FrameReader {
    /// Takes note of bytes that were written.
    pub(super) fn read(&mut self, mut bytes: &[u8], resets: &Resets) {
        while !bytes.is_empty() {
            let is_reset = self.known as usize >= HEAD && self.head[3] == RST_STREAM;
            let wanted = if is_reset { HEAD + CODE } else { HEAD };
            let known = self.known as usize;
            if known < wanted {
                let taken = bytes.len().min(wanted - known);
                self.head[known..known + taken].copy_from_slice(&bytes[..taken]);
                self.known += u8::try_from(taken).expect("a head is short");
                bytes = &bytes[taken..];
                self.heed(wanted, resets);
                continue;
            }
            let skipped = bytes.len().min(self.left as usize);
            self.left -= u32::try_from(skipped).expect("it is no more than what is left");
            bytes = &bytes[skipped..];
            if self.left == 0 {
                self.known = 0;
            }
        }
    }

    /// Looks at a head that has become longer.
    fn heed(&mut self, wanted: usize, resets: &Resets) {
        if (self.known as usize) < wanted {
            return;
        }
        let [a, b, c, kind, ..] = self.head;
        match (wanted, kind) {
            (HEAD, RST_STREAM) => {}
            (HEAD, _) => self.left = u32::from_be_bytes([0, a, b, c]),
            _ => {
                let [.., a, b, c, d] = self.head;
                if FAULTS.contains(&u32::from_be_bytes([a, b, c, d])) {
                    resets.0.fetch_add(1, Ordering::Relaxed);
                }
                self.left = 0;
            }
        }
        if self.left == 0 && !(wanted == HEAD && kind == RST_STREAM) {
            self.known = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&len[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    proptest! {
        #[test]
        fn resets_for_faults_are_counted_however_the_bytes_are_cut(
            frames in proptest::collection::vec((0u8..10, 0u32..14, 0usize..600), 0..40),
            piece in 1usize..300,
        ) {
            let mut expected = 0;
            let bytes: Vec<u8> = frames
                .iter()
                .flat_map(|&(kind, code, len)| match kind {
                    RST_STREAM => {
                        expected += u32::from(FAULTS.contains(&code));
                        frame(kind, &code.to_be_bytes())
                    }
                    _ => frame(kind, &vec![3; len]),
                })
                .collect();
            let (mut reader, resets) = (FrameReader::default(), Resets::default());
            for piece in bytes.chunks(piece) {
                reader.read(piece, &resets);
            }
            prop_assert_eq!(resets.take(), expected);
            prop_assert_eq!(resets.take(), 0);
        }
    }
}
