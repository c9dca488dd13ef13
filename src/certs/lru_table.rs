//! A table that hostile names cannot fill memory through.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// So many entries at most. When there is no room the one leaves that nobody has asked for the longest: a name that a
/// scanner has made up is not asked for again, one that clients want is.
#[derive(Debug)]
pub(super) struct LruTable<K: Eq + Hash, V> {
    limit: usize,
    entries: Mutex<LruCache<K, V>>,
}

impl<K: Eq + Hash, V: Clone> LruTable<K, V> {
    /// An empty table, which takes memory for what it holds only.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: Mutex::new(LruCache::unbounded()),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key).cloned()
    }

    pub(super) fn insert(&self, key: K, value: V) {
        let mut entries = self.lock();
        entries.put(key, value);
        if entries.len() > self.limit {
            entries.pop_lru();
        }
    }

    pub(super) fn remove(&self, key: &K) {
        self.lock().pop(key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_that_nobody_asks_for_leaves_first() {
        let table = LruTable::new(2);
        table.insert("wanted", 1);
        table.insert("made up", 2);
        assert_eq!(table.get(&"wanted"), Some(1));
        table.insert("new", 3);
        assert_eq!(table.len(), 2);
        assert_eq!(table.get(&"wanted"), Some(1));
        assert_eq!(table.get(&"made up"), None);
        table.remove(&"wanted");
        assert_eq!(table.get(&"wanted"), None);
    }
}
