//! The one value that is lent down the way from a wanted name to its certificate.

use std::net::IpAddr;
use std::sync::Arc;

use super::ari::PlanKey;
use crate::certs::certificate::Certificate;
use crate::certs::issuer::Issuer;
use crate::certs::policy::{AppliedPolicy, Policy, Ruleset};
use crate::certs::status::Refusal;
use crate::name::HostPattern;

/// Why a certificate is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A handshake of this client waits: whatever is still valid will do.
    Serve(IpAddr),
    /// Its time for renewal may have come: what is due is replaced.
    Renew,
    /// An operator wants a new one now: what is there is replaced though it is not due, and our
    /// own back-off does not count. The wait that the CA asked for does.
    RenewNow,
    /// Like [`Renew`](Self::Renew), after the CA was asked whether that time has come.
    CheckAri,
}

/// A name whose certificate is looked for, by which policy and why. What is known of it only later is added on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CertRequest<'a> {
    pub(super) subject: &'a HostPattern,
    pub(super) purpose: Purpose,
    pub(super) applied: &'a AppliedPolicy,
    /// The certificate that is served when the order is placed: the new one has to be another one.
    pub(super) served: Option<&'a Certificate>,
    /// Whether the last try failed, so that a rehearsal goes before the order.
    pub(super) has_failed: bool,
}

impl<'a> CertRequest<'a> {
    pub(crate) fn new(
        subject: &'a HostPattern,
        applied: &'a AppliedPolicy,
        purpose: Purpose,
    ) -> Self {
        Self {
            subject,
            purpose,
            applied,
            served: None,
            has_failed: false,
        }
    }

    pub(super) fn policy(self) -> &'a Policy {
        &self.applied.policy
    }

    pub(super) fn ruleset(self) -> &'a Ruleset {
        &self.applied.ruleset
    }

    /// Who may sign for it, in the order in which they are tried.
    pub(super) fn issuers(self) -> &'a [Arc<dyn Issuer>] {
        self.applied.issuers(self.subject)
    }

    /// Whether certificates for it are kept in storage.
    pub(super) fn is_kept(self) -> bool {
        self.policy().is_kept()
    }

    /// Asks the gate of names on demand, where there is one. What is served stays: a gate that is down answers like one
    /// that took the name back.
    pub(super) async fn allowed(self) -> Result<(), Refusal> {
        let (Some(ask), HostPattern::Exact(name)) = (self.policy().ask(), self.subject) else {
            return Ok(());
        };
        let client = match self.purpose {
            Purpose::Serve(client) => Some(client),
            Purpose::Renew | Purpose::RenewNow | Purpose::CheckAri => None,
        };
        ask.allow(name, client).await.map_err(Refusal::NotAllowed)
    }

    /// The key of the renewal plan for its certificate of this issuer.
    pub(super) fn plan_key(self, issuer: &'a dyn Issuer) -> PlanKey<'a> {
        PlanKey {
            issuer: issuer.id(),
            subject: self.subject,
            is_kept: self.is_kept(),
        }
    }
}
