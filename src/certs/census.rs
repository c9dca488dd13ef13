//! How many certificates there are in memory.

use super::CertManager;

/// Certificates in memory, and names without one there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// The certificates in memory, those of names on demand among them.
    pub in_memory: usize,
    /// The names that the configuration spells out and that are to have a certificate from a CA.
    pub names: usize,
    /// Those of them without one in memory.
    pub without: usize,
}

impl CertManager {
    /// Counts. Looks at every name that the configuration spells out.
    #[must_use]
    pub fn census(&self) -> Census {
        let (rules, cache) = (self.rules(), self.obtainer().cache());
        let policies = rules.policies.iter();
        let names = policies.filter_map(|(_, policy)| policy.managed());
        let mut census = Census {
            in_memory: cache.len(),
            ..Census::default()
        };
        for name in names {
            census.names += 1;
            census.without += usize::from(!cache.holds(name));
        }
        census
    }
}
