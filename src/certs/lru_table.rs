//! A table of bounded size, so that invented names cannot fill the memory.

use std::hash::Hash;

use lru::LruCache;
use parking_lot::Mutex;

/// Table with a limited number of entries, which drops the least recently used one. A name that a scanner invents is not
/// requested again; a name that clients want is.
#[derive(Debug)]
pub(super) struct LruTable<K: Eq + Hash, V> {
    limit: usize,
    entries: Mutex<LruCache<K, V>>,
}

impl<K: Eq + Hash, V: Clone> LruTable<K, V> {
    /// Creates an empty table. It allocates memory only for the entries that it holds.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: Mutex::new(LruCache::unbounded()),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.entries.lock().get(key).cloned()
    }

    pub(super) fn insert(&self, key: K, value: V) {
        let mut entries = self.entries.lock();
        entries.put(key, value);
        if entries.len() > self.limit {
            entries.pop_lru();
        }
    }

    pub(super) fn remove(&self, key: &K) {
        self.entries.lock().pop(key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_is_dropped_first() {
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
