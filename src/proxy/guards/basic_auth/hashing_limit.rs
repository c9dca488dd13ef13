//! The limit on password hashes that are computed at once, and on requests that wait for one.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::password_hash::PasswordHash;

/// Requests that may hold a permit or wait for one.
const MOST_WAITING: usize = 64;

/// Limits how many passwords are verified at once by all sites that share it. Half of the cores are left for requests.
#[derive(Debug)]
pub struct HashingLimit {
    pub(in crate::proxy::guards) waiting: Arc<Semaphore>,
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
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            running: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// Waits for a permit. `None` when too many wait already.
    pub(in crate::proxy::guards) async fn permit(&self) -> Option<HashingPermit> {
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
pub(in crate::proxy::guards) struct HashingPermit {
    _waiting: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl HashingPermit {
    /// Verifies `password` on a thread for blocking work. The permit ends with the work, even where nobody waits for it any
    /// longer. `None` when the process is ending.
    pub(in crate::proxy::guards) async fn verify(
        self,
        hash: PasswordHash,
        password: Vec<u8>,
    ) -> Option<bool> {
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
    async fn only_so_many_wait_and_a_turn_ends_with_its_work() {
        let limit = HashingLimit::new(1);
        let first = limit.permit().await.unwrap();
        let mut waiting: Vec<_> = (1..MOST_WAITING)
            .map(|_| Box::pin(limit.permit()))
            .collect();
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
