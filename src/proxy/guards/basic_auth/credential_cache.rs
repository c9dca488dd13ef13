//! Credentials that were verified, so that they are not verified at each request.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;

use super::credentials::Credentials;

/// So many are remembered by each runtime; the oldest makes room.
const CAPACITY: usize = 1024;

type Tag = [u8; 32];

/// Remembers credentials by a tag that says nothing of them without this memory's own key, once for each runtime.
pub(in crate::proxy::guards) struct CredentialCache {
    key: Option<hmac::Key>,
    lanes: Box<[Lane]>,
}

/// One runtime's memory, on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Lane(Mutex<Tags>);

#[derive(Default)]
struct Tags {
    known: HashSet<Tag>,
    by_age: VecDeque<Tag>,
}

impl CredentialCache {
    pub(in crate::proxy::guards) fn new(workers: usize) -> Self {
        Self {
            // Without random numbers nothing is remembered.
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            lanes: (0..workers.max(1)).map(|_| Lane::default()).collect(),
        }
    }

    /// Whether these were verified on the runtime of this number.
    pub(in crate::proxy::guards) fn contains(
        &self,
        credentials: &Credentials,
        worker: usize,
    ) -> bool {
        self.tag(credentials)
            .is_some_and(|tag| self.lane(worker).known.contains(&tag))
    }

    pub(in crate::proxy::guards) fn insert(&self, credentials: &Credentials, worker: usize) {
        let Some(tag) = self.tag(credentials) else {
            return;
        };
        let mut lane = self.lane(worker);
        if !lane.known.insert(tag) {
            return;
        }
        lane.by_age.push_back(tag);
        if lane.by_age.len() > CAPACITY
            && let Some(oldest) = lane.by_age.pop_front()
        {
            lane.known.remove(&oldest);
        }
    }

    fn tag(&self, credentials: &Credentials) -> Option<Tag> {
        let tag = hmac::sign(self.key.as_ref()?, credentials.as_bytes());
        tag.as_ref().try_into().ok()
    }

    fn lane(&self, worker: usize) -> MutexGuard<'_, Tags> {
        let lane = &self.lanes[worker % self.lanes.len()].0;
        lane.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn only_the_very_same_credentials_are_known_again() {
        let verified = CredentialCache::new(2);
        verified.insert(&credentials("anna:a:b"), 0);
        assert!(verified.contains(&credentials("anna:a:b"), 0));
        assert!(!verified.contains(&credentials("anna:a:b"), 1));
        for other in ["anna:a:c", "anna:a", "Anna:a:b", "anna:a:b "] {
            assert!(!verified.contains(&credentials(other), 0), "{other}");
        }
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_makes_room() {
        let verified = CredentialCache::new(1);
        for number in 0..=CAPACITY {
            verified.insert(&credentials(&format!("anna:{number}")), 0);
        }
        let lane = verified.lane(0);
        assert_eq!((lane.known.len(), lane.by_age.len()), (CAPACITY, CAPACITY));
        drop(lane);
        assert!(!verified.contains(&credentials("anna:0"), 0));
        assert!(verified.contains(&credentials("anna:1"), 0));
    }
}
