//! Limit on the password hashes that are computed at once, and on the requests that wait for one.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::password_hash::PasswordHash;

/// Maximum number of requests that hold a permit or wait for one.
const MAX_WAITING: usize = 64;

/// Limits how many passwords all sites together verify at once. Half of the cores remain free for requests.
#[derive(Debug)]
pub struct HashingLimit {
    pub(super) waiting: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Default for HashingLimit {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::new((cores / 2).max(1))
    }
}

impl HashingLimit {
    fn new(at_once: usize) -> Self {
        Self {
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            running: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// Waits for a permit. `None` if too many requests wait already.
    pub(super) async fn permit(&self) -> Option<HashingPermit> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        let running = Arc::clone(&self.running).acquire_owned().await.ok()?;
        Some(HashingPermit {
            _waiting: waiting,
            _running: running,
        })
    }
}

/// The right to verify one password.
#[derive(Debug)]
pub(super) struct HashingPermit {
    _waiting: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl HashingPermit {
    /// Verifies `password` on a thread for blocking work. The permit is held until that work ends, even when the future
    /// is dropped. `None` if the process is ending.
    pub(super) async fn verify(self, hash: PasswordHash, password: Vec<u8>) -> Option<bool> {
        let work = move || {
            let outcome = hash.verify(&password);
            drop(self);
            outcome
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::password_hash::tests::cheap;
    use super::*;

    #[tokio::test]
    async fn waiting_requests_are_limited_and_a_permit_ends_with_its_work() {
        let limit = HashingLimit::new(1);
        let first = limit.permit().await.unwrap();
        let mut waiting: Vec<_> = (1..MAX_WAITING).map(|_| Box::pin(limit.permit())).collect();
        for permit in &mut waiting {
            assert!(futures_util::poll!(permit.as_mut()).is_pending());
        }
        assert!(limit.permit().await.is_none());
        let right = first.verify(cheap("a"), b"a".to_vec()).await;
        assert_eq!(right, Some(true));
        let next = waiting.remove(0).await.unwrap();
        assert_eq!(next.verify(cheap("a"), b"b".to_vec()).await, Some(false));
    }
}
