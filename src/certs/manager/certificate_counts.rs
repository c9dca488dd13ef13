//! Counts of the certificates in memory, and the times at which they expire.

use std::time::SystemTime;

use super::cert_manager::CertManager;
use crate::name::HostPattern;

/// Counts of certificates in memory and of names without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertStats {
    /// Number of certificates in memory, including those of on-demand names.
    pub in_memory: usize,
    /// Number of configured names that should have a certificate from an issuer.
    pub names: usize,
    /// Number of those names without a certificate in memory.
    pub without: usize,
    /// Number of certificates in memory that have expired.
    pub expired: usize,
}

impl CertManager {
    /// Returns up to `limit` names whose certificates expire next, the earliest first, with the end of their validity.
    #[must_use]
    pub fn next_ends(&self, limit: usize) -> Vec<(HostPattern, SystemTime)> {
        self.state.cache().next_ends(limit)
    }

    /// Returns the names that are served with an expired certificate.
    #[must_use]
    pub fn expired(&self) -> Vec<HostPattern> {
        self.state.cache().expired(self.clock().now())
    }

    /// Returns the current counts. Takes time proportional to the number of configured names.
    #[must_use]
    pub fn stats(&self) -> CertStats {
        let (ruleset, cache) = (self.state.ruleset(), self.state.cache());
        let policies = ruleset.policies.iter();
        let names = policies.filter_map(|(_, policy)| policy.managed());
        let mut stats = CertStats {
            in_memory: cache.len(),
            expired: self.expired().len(),
            ..CertStats::default()
        };
        for name in names {
            stats.names += 1;
            stats.without += usize::from(!cache.holds(name));
        }
        stats
    }
}
