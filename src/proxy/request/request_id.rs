//! Request ids, by which the log lines of proxy and app about one request are found.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue, Request};

use super::conn_info::ConnInfo;
use super::header_scan::single_field;
use crate::upstream::{RequestBody, remove_other_spellings};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of an id that is accepted from a trusted peer.
const MAX_LEN: usize = 128;

/// Returns the id that a trusted peer gave a request, if it consists of letters, digits and `-._`.
pub(crate) fn from_trusted_peer(headers: &HeaderMap, conn: &ConnInfo) -> Option<HeaderValue> {
    conn.trust()?;
    let id = single_field(headers, &REQUEST_ID)?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let is_id = (1..=MAX_LEN).contains(&id.len()) && id.as_bytes().iter().all(is_plain);
    is_id.then(|| id.clone())
}

/// Sets the id for the app, and removes all that the app could take for another.
pub(crate) fn set(request: &mut Request<RequestBody>, id: &HeaderValue) {
    let headers = request.headers_mut();
    remove_other_spellings(headers, &[REQUEST_ID]);
    headers.insert(REQUEST_ID, id.clone());
    if !request.body().is_empty() {
        request.body_mut().forbid_trailers(&[REQUEST_ID].into());
    }
}

/// Generates the ids of one worker's requests from a random start and a count.
#[derive(Debug)]
pub(crate) struct RequestIds {
    start: u64,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self {
            start: fastrand::u64(..),
            // Random, so that ids do not reveal the number of requests.
            count: AtomicU64::new(fastrand::u64(..)),
        }
    }

    /// Returns a new id of 32 hexadecimal digits.
    pub(crate) fn next(&self) -> HeaderValue {
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
    use std::sync::Arc;

    use super::super::trusted_proxies::TrustedProxies;
    use super::*;

    #[test]
    fn only_the_ids_of_trusted_peers_are_accepted() {
        let peer = ConnInfo::new("10.0.0.1:1".parse().unwrap(), None);
        let trust = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
        let trusted = peer.clone().trusting(Arc::new(trust));
        for (value, is_kept) in [
            ("a-1.B_2", true),
            ("a b", false),
            ("\"", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_static(value));
            assert_eq!(
                from_trusted_peer(&headers, &trusted).is_some(),
                is_kept,
                "{value}"
            );
            assert_eq!(from_trusted_peer(&headers, &peer), None);
            headers.append(REQUEST_ID, HeaderValue::from_static("b"));
            assert_eq!(from_trusted_peer(&headers, &trusted), None);
        }
    }

    #[test]
    fn ids_are_unique() {
        let (one, other) = (RequestIds::new(), RequestIds::new());
        let ids: std::collections::HashSet<_> =
            (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
