//! What was doubted of names before their orders, until it is known how the orders end.

use dashmap::DashMap;

use super::reason::Reason;
use crate::name::HostPattern;

/// What this machine saw of each name that is under way.
#[derive(Debug, Default)]
pub struct Doubts {
    doubts: DashMap<HostPattern, Reason>,
}

impl Doubts {
    pub(super) fn note(&self, subject: &HostPattern, reason: Reason) {
        self.doubts.insert(subject.clone(), reason);
    }

    /// What was doubted of a name whose attempt is over. It is told once.
    #[must_use]
    pub fn take(&self, subject: &HostPattern) -> Option<Reason> {
        self.doubts.remove(subject).map(|(_, reason)| reason)
    }
}
