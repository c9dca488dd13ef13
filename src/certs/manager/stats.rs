//! How many certificates there are in memory, and when they end.

use std::time::SystemTime;

use super::cert_manager::CertManager;
use crate::name::HostPattern;

/// Certificates in memory, and names without one there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertStats {
    /// The certificates in memory, those of names on demand among them.
    pub in_memory: usize,
    /// The names that the configuration spells out and that are to have a certificate from a CA.
    pub names: usize,
    /// Those of them without one in memory.
    pub without: usize,
}

impl CertManager {
    /// When the certificates in memory end, for up to `limit` names: those whose end is next, the nearest first.
    #[must_use]
    pub fn next_ends(&self, limit: usize) -> Vec<(HostPattern, SystemTime)> {
        self.obtainer().cache().next_ends(limit)
    }

    /// Counts. Looks at every name that the configuration spells out.
    #[must_use]
    pub fn stats(&self) -> CertStats {
        let (ruleset, cache) = (self.ruleset(), self.obtainer().cache());
        let policies = ruleset.policies.iter();
        let names = policies.filter_map(|(_, policy)| policy.managed());
        let mut stats = CertStats {
            in_memory: cache.len(),
            ..CertStats::default()
        };
        for name in names {
            stats.names += 1;
            stats.without += usize::from(!cache.holds(name));
        }
        stats
    }
}
