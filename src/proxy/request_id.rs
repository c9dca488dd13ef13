//! A name for each request, by which the logs of proxy and app find each other.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The names of one runtime's requests: a random start and a count, which no other runtime writes to.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct RequestIds {
    start: u64,
    count: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        Self {
            start: fastrand::u64(..),
            // Else the first ones would tell how many requests there were.
            count: AtomicU64::new(fastrand::u64(..)),
        }
    }

    /// 32 hexadecimal digits that no other request has had.
    pub(super) fn next(&self) -> HeaderValue {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 32];
        let number = (u128::from(self.start) << 64) | u128::from(count);
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digit = (number >> (124 - 4 * index)) & 0xf;
            *byte = b"0123456789abcdef"[usize::try_from(digit).unwrap_or_default()];
        }
        HeaderValue::from_bytes(&bytes).expect("hexadecimal digits are valid in a field")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_share_an_id() {
        let (one, other) = (RequestIds::new(), RequestIds::new());
        let ids: std::collections::HashSet<_> =
            (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
