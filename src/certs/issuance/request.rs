//! What the obtainer is at work on.

use std::net::IpAddr;
use std::sync::Arc;

use super::ari::Subject;
use crate::certs::issuer::Issuer;
use crate::certs::policy::{Policy, Ruling};
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
    Wish,
    /// Like [`Renew`](Self::Renew), after the CA was asked whether that time has come.
    Ask,
}

/// A name whose certificate is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) subject: &'a HostPattern,
    pub(crate) ruling: &'a Ruling,
    pub(crate) purpose: Purpose,
}

impl<'a> Wanted<'a> {
    pub(crate) fn policy(self) -> &'a Policy {
        &self.ruling.policy
    }

    /// Who may sign for it.
    pub(crate) fn issuers(self) -> &'a [Arc<dyn Issuer>] {
        let issuers = &self.ruling.rules.issuers;
        issuers.for_subject(self.subject, self.policy())
    }

    /// Asks the gate of names on demand, where there is one. What is served stays: a gate that is down answers like one
    /// that took the name back.
    pub(crate) async fn allowed(self) -> Result<(), Refusal> {
        let (Some(ask), HostPattern::Exact(name)) = (self.policy().ask(), self.subject) else {
            return Ok(());
        };
        let client = match self.purpose {
            Purpose::Serve(client) => Some(client),
            Purpose::Renew | Purpose::Wish | Purpose::Ask => None,
        };
        ask.allow(name, client).await.map_err(Refusal::NotAllowed)
    }

    /// The certificate of this issuer.
    pub(super) fn signed_by(self, issuer: &'a str) -> Subject<'a> {
        Subject {
            issuer,
            pattern: self.subject,
            is_kept: self.policy().is_kept(),
        }
    }
}
