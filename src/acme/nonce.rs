//! The pool of anti-replay nonces (RFC 8555 section 6.5): fed by every answer, freshest first, bounded, never stale.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// More than the requests that run at once.
const CAPACITY: usize = 32;

/// CAs forget nonces; one this old is not worth a refused request.
const LIFE: Duration = Duration::from_secs(300);

/// A value that signs exactly one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nonce(String);

impl Nonce {
    /// Takes a `Replay-Nonce`; a value outside base64url is to be ignored (RFC 8555 section 6.5.1).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_valid = !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_valid.then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Nonces that no request has used yet.
#[derive(Debug, Default)]
pub(super) struct NoncePool(Mutex<Vec<(Instant, Nonce)>>);

impl NoncePool {
    /// Keeps a nonce; the oldest leaves a full pool.
    pub(super) fn put(&self, nonce: Nonce) {
        let mut nonces = self.lock();
        if nonces.len() == CAPACITY {
            nonces.remove(0);
        }
        nonces.push((Instant::now(), nonce));
    }

    /// Takes the freshest nonce.
    pub(super) fn take(&self) -> Option<Nonce> {
        let mut nonces = self.lock();
        let (born, nonce) = nonces.pop()?;
        if born.elapsed() < LIFE {
            return Some(nonce);
        }
        nonces.clear();
        None
    }

    /// Drops all nonces: where one is refused, the CA has likely forgotten the rest.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, Nonce)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(number: usize) -> Nonce {
        Nonce::parse(&format!("n{number}")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_freshest_nonce_is_taken_first_and_once() {
        let pool = NoncePool::default();
        pool.put(nonce(1));
        pool.put(nonce(2));
        assert_eq!(pool.take(), Some(nonce(2)));
        assert_eq!(pool.take(), Some(nonce(1)));
        assert_eq!(pool.take(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pool_is_bounded_and_the_oldest_leaves() {
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
        tokio::time::advance(LIFE).await;
        assert_eq!(pool.take(), None);
    }

    #[test]
    fn a_nonce_outside_base64url_is_ignored() {
        for text in ["", "a b", "a=", "a+b", "ü"] {
            assert_eq!(Nonce::parse(text), None, "{text:?}");
        }
    }
}
