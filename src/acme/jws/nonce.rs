//! The pool of anti-replay nonces (RFC 8555 section 6.5): filled by every response, newest first, and bounded.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Most nonces in the pool, which is more than the requests that run at once.
const CAPACITY: usize = 32;

/// Age from which a nonce is not used: CAs forget nonces after a while.
const MAX_AGE: Duration = Duration::from_secs(300);

/// A nonce, which is good for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::acme) struct Nonce(String);

impl Nonce {
    /// Parses a `Replay-Nonce`. A value that is not base64url must be ignored (RFC 8555 section 6.5.1).
    pub(in crate::acme) fn parse(text: &str) -> Option<Self> {
        let is_valid = !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_valid.then(|| Self(text.to_owned()))
    }

    pub(in crate::acme) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Unused nonces.
#[derive(Debug, Default)]
pub(in crate::acme) struct NoncePool(Mutex<Vec<(Instant, Nonce)>>);

impl NoncePool {
    /// Adds a nonce. A full pool drops its oldest one.
    pub(in crate::acme) fn put(&self, nonce: Nonce) {
        let mut nonces = self.0.lock();
        if nonces.len() == CAPACITY {
            nonces.remove(0);
        }
        nonces.push((Instant::now(), nonce));
    }

    /// Takes the newest nonce.
    pub(in crate::acme) fn take(&self) -> Option<Nonce> {
        let mut nonces = self.0.lock();
        let (born, nonce) = nonces.pop()?;
        if born.elapsed() < MAX_AGE {
            return Some(nonce);
        }
        nonces.clear();
        None
    }

    /// Drops all nonces. After one is refused, the CA has probably forgotten the others too.
    pub(in crate::acme) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(number: usize) -> Nonce {
        Nonce::parse(&format!("n{number}")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_nonce_is_taken_first_and_only_once() {
        let pool = NoncePool::default();
        pool.put(nonce(1));
        pool.put(nonce(2));
        assert_eq!(pool.take(), Some(nonce(2)));
        assert_eq!(pool.take(), Some(nonce(1)));
        assert_eq!(pool.take(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_pool_drops_its_oldest_nonce() {
        let pool = NoncePool::default();
        for number in 0..CAPACITY + 2 {
            pool.put(nonce(number));
        }
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(taken.len(), CAPACITY);
        assert_eq!(taken.last(), Some(&nonce(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_nonce_is_not_used() {
        let pool = NoncePool::default();
        pool.put(nonce(1));
        tokio::time::advance(MAX_AGE).await;
        assert_eq!(pool.take(), None);
    }

    #[test]
    fn a_nonce_outside_base64url_is_ignored() {
        for text in ["", "a b", "a=", "a+b", "ü"] {
            assert_eq!(Nonce::parse(text), None, "{text:?}");
        }
    }
}
