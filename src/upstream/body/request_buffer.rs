//! Buffer for the body of a request that has no length, so that a backend that needs one gets it. The memory of all
//! such bodies is bounded.

use std::sync::Arc;

use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::buffered_body::BufferedBody;
use super::request_body::RequestBody;
use crate::upstream::error::Error;

/// Bytes for which one permit stands.
const UNIT: usize = 1024;
/// Memory for all buffered bodies together.
const TOTAL: usize = 64 * 1024 * 1024;
/// Memory that a body takes at first.
const FIRST: usize = 16 * 1024;

/// Memory for the buffered bodies of all upstreams. Clones share it.
#[derive(Clone, Debug)]
pub struct BufferMemory(Arc<Semaphore>);

impl Default for BufferMemory {
    fn default() -> Self {
        Self::new(TOTAL)
    }
}

impl BufferMemory {
    /// Memory for this number of bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.0).try_acquire_many_owned(units);
        taken.map_err(|_| Error::BufferFull)
    }

    /// Reads a body of unknown length, which may have up to `limit` bytes. Its trailers are left out, since a body with
    /// a length has none (RFC 9112 section 6.5).
    pub(in crate::upstream) async fn read(
        &self,
        body: &mut RequestBody,
        limit: usize,
    ) -> Result<BufferedBody, Error> {
        let mut capacity = FIRST.min(limit);
        let mut memory = self.take(capacity)?;
        let mut data = Vec::with_capacity(capacity);
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame.map_err(Error::upload)?.into_data() else {
                continue;
            };
            let needed = data.len() + bytes.len();
            if needed > limit {
                return Err(Error::RequestTooLarge);
            }
            if needed > capacity {
                let larger = needed.next_power_of_two().min(limit);
                memory.merge(self.take(larger - capacity)?);
                capacity = larger;
                data.reserve_exact(capacity - data.len());
            }
            data.extend_from_slice(&bytes);
        }
        Ok(BufferedBody::new(data.into(), memory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_all_bodies_is_bounded_and_given_back() {
        let memory = BufferMemory::new(4096);
        let one = memory.take(3000).unwrap();
        assert!(matches!(memory.take(2000), Err(Error::BufferFull)));
        let other = memory.take(1000).unwrap();
        drop((one, other));
        assert!(memory.take(4096).is_ok());
    }
}
