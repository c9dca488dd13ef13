//! What the obtainer is at work on.

use super::obtain::Purpose;
use super::policy::Policy;
use super::renewals::Subject;
use crate::name::HostPattern;

/// A name whose certificate is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) subject: &'a HostPattern,
    pub(super) policy: &'a Policy,
    pub(super) purpose: Purpose,
}

impl<'a> Wanted<'a> {
    /// The certificate of this issuer.
    pub(super) fn signed_by(self, issuer: &'a str) -> Subject<'a> {
        Subject {
            issuer,
            pattern: self.subject,
            is_kept: self.policy.is_kept(),
        }
    }
}
