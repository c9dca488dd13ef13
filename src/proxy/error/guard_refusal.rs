//! Why a guard does not let a request through.

use std::time::Duration;

use http::HeaderValue;

use super::reason::Reason;
use crate::upstream;

/// What a guard has against a request.
#[derive(Debug, thiserror::Error)]
pub enum GuardRefusal {
    /// The client's network is kept out of the site.
    #[error("the client's network is not let in")]
    Network,
    /// Requests come too often.
    #[error("requests come more often than the limit")]
    RateLimited {
        /// When the next one may come.
        retry_after: Duration,
    },
    /// No user's name with its password.
    #[error("the request has no valid name and password")]
    Unauthorized {
        /// How to ask for them.
        challenge: HeaderValue,
    },
    /// More passwords are to be verified than the machine can.
    #[error("too many passwords wait to be verified")]
    PasswordsBusy,
    /// The server that decides about requests did not answer.
    #[error("the server that decides about requests did not answer")]
    ForwardAuth(#[source] upstream::Error),
    /// The server that decides about requests switched protocols instead.
    #[error("the server that decides about requests switched to another protocol")]
    ForwardAuthSwitched,
    /// More bytes than the limit, as the request itself says.
    #[error("the request's body is too large")]
    BodyTooLarge,
    /// The request took longer than it may.
    #[error("the request took too long")]
    RequestTimeout,
}

impl GuardRefusal {
    /// The reason that is noted and counted.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Network => Reason::Network,
            Self::RateLimited { .. } => Reason::RateLimit,
            Self::Unauthorized { .. } => Reason::Unauthorized,
            Self::PasswordsBusy => Reason::PasswordsBusy,
            Self::ForwardAuth(_) | Self::ForwardAuthSwitched => Reason::ForwardAuth,
            Self::BodyTooLarge => Reason::BodySize,
            Self::RequestTimeout => Reason::RequestTimeout,
        }
    }

    /// Whether the operator is to see it, and not the client alone.
    #[must_use]
    pub fn is_backend(&self) -> bool {
        matches!(self, Self::ForwardAuth(_) | Self::ForwardAuthSwitched)
    }
}
