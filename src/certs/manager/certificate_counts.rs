//! Counts of the certificates in memory, and the times at which they are renewed and expire.

use std::time::SystemTime;

use super::cert_manager::CertManager;
use crate::certs::certificate::CachedCertificate;
use crate::certs::renewal::renew_at;
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

/// Times of a certificate in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertEnd {
    /// Name that it is served for.
    pub name: HostPattern,
    /// Start of its validity.
    pub not_before: SystemTime,
    /// End of its validity.
    pub not_after: SystemTime,
    /// Time from which it is renewed; `None` if it is from a file.
    pub renew_at: Option<SystemTime>,
}

impl CertManager {
    /// Returns up to `limit` names whose certificates expire next, the earliest first.
    #[must_use]
    pub fn next_ends(&self, limit: usize) -> Vec<CertEnd> {
        let next = self.state.cache().next_to_expire(limit).into_iter();
        let end = |cached: CachedCertificate| CertEnd {
            not_before: cached.certificate.not_before(),
            not_after: cached.certificate.not_after(),
            renew_at: (!cached.is_pinned).then(|| renew_at(&cached.certificate)),
            name: cached.name,
        };
        next.map(end).collect()
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
