//! Records in memory, which end with the process: for rehearsals, and where there is no data directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;

use super::page::PageBuilder;
use super::{Error, Key, Listing, Lock, PageRequest, Storage};

/// Records by key, and the locks that were taken. `Debug` shows neither.
#[derive(Default)]
pub struct MemoryStorage {
    records: Mutex<BTreeMap<String, Vec<u8>>>,
    locks: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl MemoryStorage {
    /// `true` if there is a record below a folder.
    #[must_use]
    pub fn holds(&self, folder: &str) -> bool {
        let records = self.records.lock();
        records.keys().any(|key| key.starts_with(folder))
    }

    /// Returns the segments directly below a folder, in order.
    fn segments(&self, folder: &Key) -> BTreeSet<String> {
        let prefix = format!("{}/", folder.as_str());
        let records = self.records.lock();
        let below = records.range(prefix.clone()..);
        below
            .map_while(|(key, _)| key.strip_prefix(&prefix))
            .filter_map(|rest| rest.split('/').next())
            .map(str::to_owned)
            .collect()
    }
}

impl Storage for MemoryStorage {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        let value = self.records.lock().get(key.as_str()).cloned();
        async { Ok(value) }.boxed()
    }

    fn store<'a>(&'a self, key: &'a Key, value: &'a [u8]) -> BoxFuture<'a, Result<(), Error>> {
        let key = key.as_str().to_owned();
        self.records.lock().insert(key, value.to_vec());
        async { Ok(()) }.boxed()
    }

    fn delete<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<(), Error>> {
        self.records.lock().remove(key.as_str());
        async { Ok(()) }.boxed()
    }

    fn lock<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lock, Error>> {
        let lock = Arc::clone(
            self.locks
                .lock()
                .entry(key.as_str().to_owned())
                .or_default(),
        );
        async { Ok(Lock::new(lock.lock_owned().await)) }.boxed()
    }

    fn page<'a>(&'a self, request: PageRequest<'a>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        let mut builder = PageBuilder::new(request);
        for segment in self.segments(request.folder) {
            builder.offer(&segment);
        }
        async { Ok(builder.finish()) }.boxed()
    }

    fn list(&self, folder: &Key) -> Listing {
        let segments = self.segments(folder);
        let keys: Vec<_> = segments.iter().map(|it| folder.below(it)).collect();
        futures_util::stream::iter((!keys.is_empty()).then_some(Ok(keys))).boxed()
    }

    fn location(&self, key: &Key) -> String {
        format!("{} in memory", key.as_str())
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_are_found_by_key_page_and_listing() {
        let storage = MemoryStorage::default();
        let folder = Key::new(&["certificates", "ca"]);
        for name in ["b.pem", "a.pem", "a.json"] {
            storage.store(&folder.below(name), b"x").await.unwrap();
        }
        let request = PageRequest {
            folder: &folder,
            ending: ".pem",
            after: Some("a"),
            limit: 9,
        };
        assert_eq!(storage.page(request).await.unwrap(), ["b"]);
        let listed: Vec<_> = storage.list(&folder).collect().await;
        assert_eq!(listed[0].as_ref().unwrap().len(), 3);
        storage.delete(&folder.below("b.pem")).await.unwrap();
        assert_eq!(storage.load(&folder.below("b.pem")).await.unwrap(), None);
        assert!(
            storage
                .load(&folder.below("a.pem"))
                .await
                .unwrap()
                .is_some()
        );
    }
}
