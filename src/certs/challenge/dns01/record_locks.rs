//! Locks by name of the record, for services that keep only one value of a name.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The locks of the names whose records are set now. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct RecordLocks(Arc<SyncMutex<HashMap<String, Arc<Mutex<()>>>>>);

impl RecordLocks {
    /// Waits until no other record of `name` is set.
    pub(super) async fn lock(&self, name: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock();
            // A lock that only this table holds is neither held nor awaited.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(name.to_owned()).or_default())
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn records_of_one_name_are_set_one_after_the_other() {
        let locks = RecordLocks::default();
        let first = locks.lock("_acme-challenge.example.org").await;
        assert!(
            locks
                .lock("_acme-challenge.example.net")
                .now_or_never()
                .is_some()
        );
        let mut second = Box::pin(locks.lock("_acme-challenge.example.org"));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second.await);
        drop(locks.lock("_acme-challenge.example.com").await);
        assert_eq!(locks.0.lock().len(), 1);
    }
}
