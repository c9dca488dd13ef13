//! Cache of verified credentials, so that a password is not hashed again for each request.

use std::collections::{HashSet, VecDeque};
use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use parking_lot::{Mutex, MutexGuard};

use super::credentials::Credentials;
use crate::per_worker::{CachePadded, PerWorker};

/// Maximum number of credentials that each worker remembers. The oldest are dropped first.
const CAPACITY: usize = 1024;

type Tag = [u8; 32];

/// Remembers credentials for each worker on its own, as keyed hashes: without the key of this cache, they reveal
/// nothing.
pub(super) struct CredentialCache {
    key: Option<hmac::Key>,
    workers: PerWorker<CachePadded<Mutex<Tags>>>,
}

/// Tags of the credentials that one worker knows.
#[derive(Default)]
struct Tags {
    known: HashSet<Tag>,
    by_age: VecDeque<Tag>,
}

impl CredentialCache {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            // Without random numbers there is no key, and nothing is remembered.
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            workers: PerWorker::new(workers, |_| CachePadded::default()),
        }
    }

    /// `true` if these credentials were verified on the worker with this number.
    pub(super) fn contains(&self, credentials: &Credentials, worker: usize) -> bool {
        self.tag(credentials)
            .is_some_and(|tag| self.tags(worker).known.contains(&tag))
    }

    pub(super) fn insert(&self, credentials: &Credentials, worker: usize) {
        let Some(tag) = self.tag(credentials) else {
            return;
        };
        let mut tags = self.tags(worker);
        if !tags.known.insert(tag) {
            return;
        }
        tags.by_age.push_back(tag);
        if tags.by_age.len() > CAPACITY
            && let Some(oldest) = tags.by_age.pop_front()
        {
            tags.known.remove(&oldest);
        }
    }

    fn tag(&self, credentials: &Credentials) -> Option<Tag> {
        let tag = hmac::sign(self.key.as_ref()?, credentials.as_bytes());
        tag.as_ref().try_into().ok()
    }

    fn tags(&self, worker: usize) -> MutexGuard<'_, Tags> {
        self.workers[worker].lock()
    }
}

impl fmt::Debug for CredentialCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialCache(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::credentials::tests::basic;
    use super::*;

    fn credentials(text: &str) -> Credentials {
        Credentials::of(&basic(text)).unwrap()
    }

    #[test]
    fn only_identical_credentials_on_the_same_worker_are_found() {
        let cache = CredentialCache::new(2);
        cache.insert(&credentials("anna:a:b"), 0);
        assert!(cache.contains(&credentials("anna:a:b"), 0));
        assert!(!cache.contains(&credentials("anna:a:b"), 1));
        for other in ["anna:a:c", "anna:a", "Anna:a:b", "anna:a:b "] {
            assert!(!cache.contains(&credentials(other), 0), "{other}");
        }
    }

    #[test]
    fn the_cache_is_bounded_and_drops_the_oldest() {
        let cache = CredentialCache::new(1);
        for number in 0..=CAPACITY {
            cache.insert(&credentials(&format!("anna:{number}")), 0);
        }
        let tags = cache.tags(0);
        assert_eq!((tags.known.len(), tags.by_age.len()), (CAPACITY, CAPACITY));
        drop(tags);
        assert!(!cache.contains(&credentials("anna:0"), 0));
        assert!(cache.contains(&credentials("anna:1"), 0));
    }
}
