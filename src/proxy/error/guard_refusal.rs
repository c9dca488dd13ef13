//! The refusal of a request by a guard of its site.

use std::time::Duration;

use http::HeaderValue;

use super::reason::Reason;
use crate::upstream;

/// Reason why a guard does not let a request through.
#[derive(Debug, thiserror::Error)]
pub enum GuardRefusal {
    /// The client's network is not allowed.
    #[error("the client's network is not allowed")]
    Network,
    /// The client presented no certificate.
    #[error("the client presented no certificate")]
    NoClientCertificate,
    /// Requests exceed a rate limit.
    #[error("requests exceed the rate limit")]
    RateLimited {
        /// Time until the next request may be sent.
        retry_after: Duration,
    },
    /// The request has no user name with the right password.
    #[error("the request has no valid user name and password")]
    Unauthorized {
        /// Value of WWW-Authenticate for the response.
        challenge: HeaderValue,
    },
    /// Too many passwords wait to be verified.
    #[error("too many passwords wait to be verified")]
    PasswordsBusy,
    /// The forward-auth server gave no response.
    #[error("the forward-auth server gave no response")]
    ForwardAuth(#[source] upstream::Error),
    /// The forward-auth server switched protocols instead of responding.
    #[error("the forward-auth server switched to another protocol")]
    ForwardAuthSwitched,
    /// The request's declared length exceeds the limit.
    #[error("the request's body exceeds the limit")]
    BodyTooLarge,
    /// The request took longer than its limit.
    #[error("the request took longer than its limit")]
    RequestTimeout,
}

impl GuardRefusal {
    /// Reason for counters and the access log.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Network => Reason::Network,
            Self::NoClientCertificate => Reason::NoClientCertificate,
            Self::RateLimited { .. } => Reason::RateLimit,
            Self::Unauthorized { .. } => Reason::Unauthorized,
            Self::PasswordsBusy => Reason::PasswordsBusy,
            Self::ForwardAuth(_) | Self::ForwardAuthSwitched => Reason::ForwardAuth,
            Self::BodyTooLarge => Reason::BodySize,
            Self::RequestTimeout => Reason::RequestTimeout,
        }
    }

    /// `true` if a backend failed, which the operator must see, and not the client was wrong.
    #[must_use]
    pub fn is_backend(&self) -> bool {
        matches!(self, Self::ForwardAuth(_) | Self::ForwardAuthSwitched)
    }
}
