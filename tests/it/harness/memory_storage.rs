//! A storage in memory, for tests that run faster than any disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use proxy::storage::{Error, Key, Listing, Lock, PageRequest, Storage};

/// Records by key, and the locks that are held.
#[derive(Debug, Default)]
pub(crate) struct MemoryStorage {
    records: Mutex<BTreeMap<String, Vec<u8>>>,
    locks: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl MemoryStorage {
    /// Returns `true` if there is a record below a folder.
    pub(crate) fn holds(&self, folder: &str) -> bool {
        let records = self.records.lock().unwrap();
        records.keys().any(|key| key.starts_with(folder))
    }
}

impl Storage for MemoryStorage {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        let value = self.records.lock().unwrap().get(key.as_str()).cloned();
        async { Ok(value) }.boxed()
    }

    fn store<'a>(&'a self, key: &'a Key, value: &'a [u8]) -> BoxFuture<'a, Result<(), Error>> {
        let key = key.as_str().to_owned();
        self.records.lock().unwrap().insert(key, value.to_vec());
        async { Ok(()) }.boxed()
    }

    fn delete<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<(), Error>> {
        self.records.lock().unwrap().remove(key.as_str());
        async { Ok(()) }.boxed()
    }

    fn lock<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lock, Error>> {
        let mut locks = self.locks.lock().unwrap();
        let lock = Arc::clone(locks.entry(key.as_str().to_owned()).or_default());
        drop(locks);
        async { Ok(Lock::new(lock.lock_owned().await)) }.boxed()
    }

    fn page<'a>(&'a self, _: PageRequest<'a>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        unreachable!("nobody asks for pages where this storage is used")
    }

    fn list(&self, folder: &Key) -> Listing {
        let prefix = format!("{}/", folder.as_str());
        let records = self.records.lock().unwrap();
        let below = records.range(prefix.clone()..);
        let children = below
            .map_while(|(key, _)| key.strip_prefix(&prefix))
            .filter_map(|rest| rest.split('/').next())
            .map(|segment| folder.below(segment))
            .collect::<BTreeSet<_>>();
        let children = Vec::from_iter(children);
        futures_util::stream::iter((!children.is_empty()).then_some(Ok(children))).boxed()
    }

    fn location(&self, key: &Key) -> String {
        key.as_str().to_owned()
    }
}
