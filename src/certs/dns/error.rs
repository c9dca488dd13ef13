//! Reasons why a look-up failed.

use hickory_resolver::net::NetError;
use hickory_resolver::proto::op::ResponseCode;

/// Reason why a look-up failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ResolverError {
    /// The DNS settings of the system cannot be read.
    #[error("the system's DNS servers cannot be read ({0}); name some with `resolvers`")]
    System(#[source] NetError),
    /// The text is not a valid DNS name.
    #[error("`{0}` is not a valid DNS name")]
    Name(String),
    /// The name does not exist (NXDOMAIN).
    #[error("`{0}` does not exist in DNS")]
    NoSuchName(String),
    /// The name exists but has no record of this type.
    #[error("DNS has no {kind} record for `{name}`")]
    NoAnswer {
        /// Name that was looked up.
        name: String,
        /// Record type, such as `TXT`.
        kind: &'static str,
    },
    /// The server answered with an error code.
    #[error("the DNS server has no answer for `{name}`: {code}")]
    Refused {
        /// Name that was looked up.
        name: String,
        /// Response code.
        code: ResponseCode,
    },
    /// No server answered in time.
    #[error("no DNS server answered for `{0}` in time")]
    Timeout(String),
    /// The servers could not be reached, or sent an invalid answer.
    #[error("the DNS look-up of `{name}` failed: {source}")]
    Failed {
        /// Name that was looked up.
        name: String,
        /// Cause of the failure.
        source: NetError,
    },
    /// The CNAME records form a loop, or the chain is too long.
    #[error("the CNAME records of `{0}` form a loop or too long a chain")]
    AliasLoop(String),
}

impl ResolverError {
    /// Whether DNS answered that the name or record does not exist.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoSuchName(_) | Self::NoAnswer { .. })
    }
}
