//! Bytes of one write call, piece by piece. Knows no TLS.

use std::io::IoSlice;

use super::stream_buffers::PIECE;

/// Slices that are written, piece by piece.
pub(super) struct Pieces<'a> {
    bufs: std::slice::Iter<'a, IoSlice<'a>>,
    /// The rest of the slice that was begun.
    begun: &'a [u8],
    /// Bytes that were not taken yet.
    pub(super) left: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(bufs: &'a [IoSlice<'a>]) -> Self {
        Self {
            left: bufs.iter().map(|buf| buf.len()).sum(),
            bufs: bufs.iter(),
            begun: &[],
        }
    }

    /// Takes the next piece, of at most `most` bytes. Returns `None` if nothing is left or `most` is 0.
    pub(super) fn next(&mut self, most: usize) -> Option<&'a [u8]> {
        if most == 0 {
            return None;
        }
        while self.begun.is_empty() {
            self.begun = self.bufs.next()?;
        }
        let len = self.begun.len().min(PIECE).min(most);
        let (piece, rest) = self.begun.split_at(len);
        self.begun = rest;
        self.left -= len;
        Some(piece)
    }
}
