//! The cache of the certificates that are served.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use dashmap::DashMap;
use dashmap::mapref::entry;

use super::certificate::Certificate;
use crate::name::{HostName, HostPattern};

/// Bounded cache of certificates by name. Evicts the least recently used ones, which are loaded from storage again when
/// needed.
#[derive(Debug)]
pub struct CertCache {
    exact: DashMap<HostName, Entry>,
    wildcard: DashMap<HostName, Entry>,
    capacity: usize,
    clock: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    certificate: Arc<Certificate>,
    is_pinned: bool,
    used: AtomicU64,
}

impl Entry {
    fn cached(&self, name: HostPattern) -> CachedCertificate {
        CachedCertificate {
            name,
            certificate: Arc::clone(&self.certificate),
            is_pinned: self.is_pinned,
        }
    }
}

/// A certificate of the cache.
#[derive(Clone, Debug)]
pub struct CachedCertificate {
    /// The name or pattern that it is served for.
    pub name: HostPattern,
    /// The certificate.
    pub certificate: Arc<Certificate>,
    /// `true` if it is pinned.
    pub is_pinned: bool,
}

impl CertCache {
    /// Creates a cache for `capacity` certificates, not counting pinned ones.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            exact: DashMap::new(),
            wildcard: DashMap::new(),
            capacity: capacity.max(1),
            clock: AtomicU64::new(0),
        }
    }

    /// Returns the certificate for a name: its own, otherwise that of the wildcard one label up.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<Arc<Certificate>> {
        self.find(&self.exact, name).or_else(|| {
            let (_, base) = name.split_once('.').filter(|_| !self.wildcard.is_empty())?;
            self.find(&self.wildcard, base)
        })
    }

    fn find(&self, map: &DashMap<HostName, Entry>, name: &str) -> Option<Arc<Certificate>> {
        let entry = map.get(name)?;
        let now = self.clock.load(Ordering::Relaxed);
        // Writes only if the value changes, so that handshakes for a few hot names do not contend for a cache line.
        if entry.used.load(Ordering::Relaxed) != now {
            entry.used.store(now, Ordering::Relaxed);
        }
        Some(Arc::clone(&entry.certificate))
    }

    /// Whether the certificate for a name is pinned, so that storage cannot replace it.
    #[must_use]
    pub fn is_pinned(&self, name: &str) -> bool {
        let of = |map: &DashMap<HostName, Entry>, name| map.get(name).map(|entry| entry.is_pinned);
        let base = || name.split_once('.').map(|(_, base)| base);
        let pinned = of(&self.exact, name);
        let pinned = pinned.or_else(|| of(&self.wildcard, base()?));
        pinned.unwrap_or(false)
    }

    /// Returns the certificate of exactly this pattern.
    #[must_use]
    pub fn get(&self, pattern: &HostPattern) -> Option<Arc<Certificate>> {
        let (map, name) = self.place(pattern)?;
        self.find(map, name.as_str())
    }

    /// Whether there is a certificate of exactly this pattern. Does not count as a use.
    #[must_use]
    pub fn holds(&self, pattern: &HostPattern) -> bool {
        let place = self.place(pattern);
        place.is_some_and(|(map, name)| map.contains_key(name))
    }

    /// Returns up to `limit` certificates, the one that expires first comes first. Does not count as a use.
    #[must_use]
    pub fn next_to_expire(&self, limit: usize) -> Vec<CachedCertificate> {
        let exact = self.exact.iter();
        let exact = exact.map(|entry| entry.cached(HostPattern::Exact(entry.key().clone())));
        let wildcard = self.wildcard.iter();
        let wildcard =
            wildcard.map(|entry| entry.cached(HostPattern::Wildcard(entry.key().clone())));
        let mut all: Vec<_> = exact.chain(wildcard).collect();
        all.sort_by_key(|cached| cached.certificate.not_after());
        all.truncate(limit);
        all
    }

    /// Returns the names whose certificates have expired at `now`. Does not count as a use.
    #[must_use]
    pub fn expired(&self, now: SystemTime) -> Vec<HostPattern> {
        let has_expired = |entry: &Entry| entry.certificate.not_after() <= now;
        let exact = self.exact.iter().filter(|entry| has_expired(entry));
        let exact = exact.map(|entry| HostPattern::Exact(entry.key().clone()));
        let wildcard = self.wildcard.iter().filter(|entry| has_expired(entry));
        let wildcard = wildcard.map(|entry| HostPattern::Wildcard(entry.key().clone()));
        exact.chain(wildcard).collect()
    }

    /// Serves `certificate` for `pattern` from the next handshake on, unless the pattern has a pinned one.
    pub fn insert(&self, pattern: &HostPattern, certificate: Arc<Certificate>) {
        self.put(pattern, certificate, false);
    }

    /// Serves and pins `certificate`, which cannot be loaded from storage. Only another pinned one replaces it.
    pub fn pin(&self, pattern: &HostPattern, certificate: Arc<Certificate>) {
        self.put(pattern, certificate, true);
    }

    fn put(&self, pattern: &HostPattern, certificate: Arc<Certificate>, is_pinned: bool) {
        let used = AtomicU64::new(self.clock.fetch_add(1, Ordering::Relaxed) + 1);
        let entry = Entry {
            certificate,
            is_pinned,
            used,
        };
        if let Some((map, name)) = self.place(pattern) {
            match map.entry(name.clone()) {
                entry::Entry::Occupied(there) if there.get().is_pinned && !is_pinned => {}
                entry::Entry::Occupied(mut there) => {
                    there.insert(entry);
                }
                entry::Entry::Vacant(free) => {
                    free.insert(entry);
                }
            }
        }
        if self.exact.len() > self.capacity {
            self.evict();
        }
    }

    /// Unpins the certificate of a pattern. It is served until it is replaced or evicted.
    pub fn unpin(&self, pattern: &HostPattern) {
        if let Some((map, name)) = self.place(pattern)
            && let Some(mut entry) = map.get_mut(name)
        {
            entry.is_pinned = false;
        }
    }

    /// Stops serving the certificate of a pattern.
    pub fn remove(&self, pattern: &HostPattern) {
        if let Some((map, name)) = self.place(pattern) {
            map.remove(name);
        }
    }

    /// Stops serving the certificates of all patterns that are not kept. Pinned ones stay.
    pub fn retain(&self, is_kept: impl Fn(&HostPattern) -> bool) {
        let exact = |name: &HostName| is_kept(&HostPattern::Exact(name.clone()));
        let wildcard = |base: &HostName| is_kept(&HostPattern::Wildcard(base.clone()));
        self.exact
            .retain(|name, entry| entry.is_pinned || exact(name));
        self.wildcard
            .retain(|base, entry| entry.is_pinned || wildcard(base));
    }

    fn place<'a>(
        &'a self,
        pattern: &'a HostPattern,
    ) -> Option<(&'a DashMap<HostName, Entry>, &'a HostName)> {
        match pattern {
            HostPattern::Exact(name) => Some((&self.exact, name)),
            HostPattern::Wildcard(base) => Some((&self.wildcard, base)),
            HostPattern::Any => None,
        }
    }

    /// Number of certificates in the cache.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.wildcard.len()
    }

    /// Whether the cache is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops the least recently used sixteenth, so that many insertions share the cost of one scan.
    fn evict(&self) {
        let mut ages = self
            .exact
            .iter()
            .filter(|entry| !entry.is_pinned)
            .map(|entry| (entry.used.load(Ordering::Relaxed), entry.key().clone()))
            .collect::<Vec<_>>();
        let surplus = self.capacity / 16 + 1;
        if ages.len() > surplus {
            ages.select_nth_unstable(surplus - 1);
            ages.truncate(surplus);
        }
        for (used, name) in ages {
            self.exact
                .remove_if(&name, |_, entry| entry.used.load(Ordering::Relaxed) == used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::TestCa;
    use super::*;

    fn certificate(ca: &TestCa, name: &str) -> Arc<Certificate> {
        Arc::new(Certificate::from_pem(ca.sign(&[name], -60..60).as_bytes()).unwrap())
    }

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[test]
    fn a_name_is_served_by_its_own_certificate_or_else_by_its_wildcard() {
        let ca = TestCa::new();
        let cache = CertCache::new(10);
        for name in ["www.example.org", "*.example.org"] {
            cache.insert(&pattern(name), certificate(&ca, name));
        }
        for (asked, served) in [
            ("www.example.org", Some("www.example.org")),
            ("api.example.org", Some("*.example.org")),
            ("example.org", None),
            ("a.b.example.org", None),
        ] {
            let found = cache
                .lookup(asked)
                .map(|found| found.names()[0].to_string());
            assert_eq!(found.as_deref(), served, "{asked}");
        }
    }

    #[test]
    fn the_least_recently_used_are_evicted_and_pinned_ones_never() {
        let ca = TestCa::new();
        let one = certificate(&ca, "shared.example");
        let cache = CertCache::new(100);
        cache.pin(&pattern("pinned.example"), Arc::clone(&one));
        for index in 0..500 {
            cache.insert(&pattern(&format!("n{index}.example")), Arc::clone(&one));
            assert!(cache.lookup("n0.example").is_some(), "a name in use stays");
        }
        assert!(cache.len() <= 101, "{}", cache.len());
        assert!(cache.lookup("pinned.example").is_some());
        assert!(cache.lookup("n499.example").is_some());
        assert!(cache.lookup("n1.example").is_none());
    }

    #[test]
    fn listing_the_next_ends_does_not_count_as_a_use() {
        let ca = TestCa::new();
        let cache = CertCache::new(10);
        for (name, days) in [("a.example", 60), ("*.b.example", 20), ("c.example", 40)] {
            let pem = ca.sign(&[name], -60..days);
            let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
            cache.insert(&pattern(name), Arc::new(certificate));
        }
        let names = |limit| {
            let ends = cache.next_to_expire(limit).into_iter();
            ends.map(|cached| cached.name.to_string())
                .collect::<Vec<_>>()
        };
        let used = || {
            cache
                .exact
                .get("a.example")
                .unwrap()
                .used
                .load(Ordering::Relaxed)
        };
        let before = used();
        assert_eq!(names(2), ["*.b.example", "c.example"]);
        assert_eq!(names(9).len(), 3);
        assert!(cache.holds(&pattern("a.example")) && !cache.holds(&pattern("b.example")));
        assert_eq!(used(), before);
    }

    #[test]
    fn a_pinned_certificate_is_replaced_only_by_another_pinned_one_or_after_unpinning() {
        let ca = TestCa::new();
        let [files, ordered] = ["a.example", "a.example"].map(|name| certificate(&ca, name));
        let (cache, name) = (CertCache::new(10), pattern("a.example"));
        let is_served = |expected| Arc::ptr_eq(&cache.get(&name).unwrap(), expected);
        cache.pin(&name, Arc::clone(&files));
        cache.insert(&name, Arc::clone(&ordered));
        cache.retain(|_| false);
        assert!(is_served(&files));
        cache.unpin(&name);
        assert!(is_served(&files) && !cache.is_pinned("a.example"));
        cache.insert(&name, Arc::clone(&ordered));
        assert!(is_served(&ordered));
        cache.retain(|pattern| *pattern == name);
        assert!(is_served(&ordered));
        cache.retain(|_| false);
        assert!(cache.is_empty());
    }
}
