//! Who may have the machine compute a password's hash, and when.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::password_hash::PasswordHash;

/// So many requests may wait for their turn.
const PLACES: usize = 64;

/// Bounds how many passwords are verified at once, over all sites that share it: half of the cores are left for requests.
#[derive(Debug)]
pub struct HashingLimit {
    pub(in crate::proxy::guards) places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for HashingLimit {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::new((cores / 2).max(1))
    }
}

impl HashingLimit {
    fn new(turns: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(PLACES)),
            turns: Arc::new(Semaphore::new(turns)),
        }
    }

    /// Waits for a turn. `None` when too many wait already.
    pub(in crate::proxy::guards) async fn turn(&self) -> Option<HashingPermit> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        Some(HashingPermit {
            _place: place,
            _turn: turn,
        })
    }
}

/// The right to verify one password.
#[derive(Debug)]
pub(in crate::proxy::guards) struct HashingPermit {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl HashingPermit {
    /// Whether `password` is the one, found out away from the runtime. The turn ends with the work, even where nobody waits
    /// for it any longer. `None` when the process is ending.
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
        let hashing_limit = HashingLimit::new(1);
        let first = hashing_limit.turn().await.unwrap();
        let mut waiting: Vec<_> = (1..PLACES)
            .map(|_| Box::pin(hashing_limit.turn()))
            .collect();
        for turn in &mut waiting {
            assert!(futures_util::poll!(turn.as_mut()).is_pending());
        }
        assert!(hashing_limit.turn().await.is_none());
        let right = first.verify(cheap("a"), b"a".to_vec()).await;
        assert_eq!(right, Some(true));
        let next = waiting.remove(0).await.unwrap();
        assert_eq!(next.verify(cheap("a"), b"b".to_vec()).await, Some(false));
    }
}
