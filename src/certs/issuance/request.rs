//! The request for one certificate, which every step on the way to it borrows.

use std::net::IpAddr;
use std::sync::Arc;

use super::renewal_plans::PlanKey;
use crate::certs::certificate::Certificate;
use crate::certs::issuer::Issuer;
use crate::certs::policy::{AppliedPolicy, Policy, Ruleset};
use crate::certs::status::CertificateRefusal;
use crate::name::HostPattern;

/// The purpose for which a certificate is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A handshake of this client waits. Any valid certificate is good enough.
    Serve(IpAddr),
    /// The renewal may be due. A certificate is replaced if it is.
    Renew,
    /// An operator wants a new certificate now, due or not. Our own back-off is ignored, a Retry-After of the CA is not.
    RenewNow,
    /// Like [`Renew`](Self::Renew), but the CA is asked first whether the renewal is due (RFC 9773).
    CheckAri,
}

/// A request for a certificate: the name, its policy and the purpose. Later steps fill in the remaining fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CertRequest<'a> {
    pub(super) subject: &'a HostPattern,
    pub(super) purpose: Purpose,
    pub(super) applied: &'a AppliedPolicy,
    /// The certificate that is served when the order is placed. The new one must differ from it.
    pub(super) served: Option<&'a Certificate>,
    /// `true` if the last attempt failed. The order is then rehearsed at the staging issuer first.
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

    /// Returns the issuers that may sign, in the order in which they are tried.
    pub(super) fn issuers(self) -> &'a [Arc<dyn Issuer>] {
        self.applied.issuers(self.subject)
    }

    /// Asks the ask endpoint of an on-demand site whether the name may have a certificate. A refusal leaves the served
    /// certificate in place: an endpoint that is down must not take it away.
    pub(super) async fn allowed(self) -> Result<(), CertificateRefusal> {
        let (Some(ask), HostPattern::Exact(name)) = (self.policy().ask(), self.subject) else {
            return Ok(());
        };
        let client = match self.purpose {
            Purpose::Serve(client) => Some(client),
            Purpose::Renew | Purpose::RenewNow | Purpose::CheckAri => None,
        };
        ask.allow(name, client)
            .await
            .map_err(CertificateRefusal::NotAllowed)
    }

    /// Returns the key of the renewal plan for this issuer's certificate.
    pub(super) fn plan_key(self, issuer: &'a dyn Issuer) -> PlanKey<'a> {
        PlanKey {
            issuer: issuer.id(),
            subject: self.subject,
            is_kept: self.policy().is_kept(),
        }
    }
}
