//! Buffer for the body of a request that has no length, so that a backend that needs one gets it.

use std::sync::Arc;

use http_body_util::BodyExt;

use super::buffered_body::BufferedBody;
use super::request_body::RequestBody;
use crate::memory::{ConnectionMemory, HeldMemory};
use crate::upstream::error::Error;

/// Smallest buffer of a body that has bytes.
const LEAST: usize = 1024;

/// Reads a body of unknown length, which may have up to `limit` bytes. Its bytes are counted in `memory` as they come. Its
/// trailers are left out, since a body with a length has none (RFC 9112 section 6.5).
pub(in crate::upstream) async fn read_whole(
    body: &mut RequestBody,
    limit: usize,
    memory: Option<&Arc<ConnectionMemory>>,
) -> Result<BufferedBody, Error> {
    let (mut data, mut held) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame.map_err(Error::upload)?.into_data() else {
            continue;
        };
        let needed = data.len() + bytes.len();
        if needed > limit {
            return Err(Error::RequestTooLarge);
        }
        if needed > data.capacity() {
            let capacity = needed.next_power_of_two().max(LEAST).min(limit);
            if let Some(memory) = memory {
                hold(&mut held, memory, capacity - data.capacity())?;
            }
            data.reserve_exact(capacity - data.len());
        }
        data.extend_from_slice(&bytes);
    }
    Ok(BufferedBody::new(data.into(), held))
}

/// Holds `more` bytes.
fn hold(
    held: &mut Option<HeldMemory>,
    memory: &Arc<ConnectionMemory>,
    more: usize,
) -> Result<(), Error> {
    let is_held = match held {
        Some(held) => held.grow(more),
        None => {
            *held = memory.hold(more);
            held.is_some()
        }
    };
    if is_held {
        Ok(())
    } else {
        Err(Error::BufferFull)
    }
}
