//! Bytes that wait to be written, and the memory that is held until they are.

use bytes::{Buf, Bytes};

use super::connection_memory::HeldMemory;

/// Bytes handed to a protocol. The memory is given back when the protocol has written or discarded them.
#[derive(Debug, Default)]
pub struct HeldBytes {
    bytes: Bytes,
    _held: Option<HeldMemory>,
}

impl HeldBytes {
    /// Holds `held` as long as the protocol has `bytes`, which may be empty.
    #[must_use]
    pub fn new(bytes: Bytes, held: HeldMemory) -> Self {
        Self {
            bytes,
            _held: Some(held),
        }
    }
}

impl Buf for HeldBytes {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}
