//! A DNS provider whose updates are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::error::Dns01Error;
use super::provider::{DnsProvider, TxtRecord};

/// Labels of the counters: what was done with a record, and whether it succeeded.
const KINDS: [(&str, &str); 4] = [
    ("set", "ok"),
    ("set", "failed"),
    ("remove", "ok"),
    ("remove", "failed"),
];

/// Counters of updates in DNS. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct DnsUpdates(Arc<[AtomicU64; KINDS.len()]>);

impl DnsUpdates {
    /// Returns the number of updates of each kind: `set` or `remove`, `ok` or `failed`.
    pub fn counts(&self) -> impl Iterator<Item = ((&'static str, &'static str), u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        KINDS.into_iter().zip(counts)
    }

    fn count(&self, is_removal: bool, is_ok: bool) {
        let index = 2 * usize::from(is_removal) + usize::from(!is_ok);
        self.0[index].fetch_add(1, Ordering::Relaxed);
    }
}

/// Sets records through another provider, and counts the updates.
#[derive(Debug)]
pub struct CountedProvider {
    /// The provider that sets the records.
    pub provider: Arc<dyn DnsProvider>,
    /// The counters.
    pub updates: DnsUpdates,
}

impl DnsProvider for CountedProvider {
    fn check<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Dns01Error>> {
        self.provider.check(name)
    }

    fn may_replace_values(&self) -> bool {
        self.provider.may_replace_values()
    }

    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move {
            let done = self.provider.present(record).await;
            self.updates.count(false, done.is_ok());
            done
        }
        .boxed()
    }

    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move {
            let done = self.provider.cleanup(record).await;
            self.updates.count(true, done.is_ok());
            done
        }
        .boxed()
    }
}
