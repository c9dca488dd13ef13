//! Why a look-up gave nothing.

use hickory_resolver::net::NetError;
use hickory_resolver::proto::op::ResponseCode;

/// Why a look-up gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ResolverError {
    /// The system names no DNS server.
    #[error("the system's DNS servers cannot be read ({0}); name some with `resolvers`")]
    System(#[source] NetError),
    /// The text is no name that DNS can be asked for.
    #[error("`{0}` is no DNS name")]
    Name(String),
    /// The name does not exist.
    #[error("DNS has no name `{0}`")]
    NoSuchName(String),
    /// The name exists and has no such record.
    #[error("DNS has no {kind} record for `{name}`")]
    NoAnswer {
        /// What was looked up.
        name: String,
        /// The records that are not there.
        kind: &'static str,
    },
    /// The server answered that it cannot or will not say.
    #[error("the DNS server has no answer for `{name}`: {code}")]
    Refused {
        /// What was looked up.
        name: String,
        /// What the server said.
        code: ResponseCode,
    },
    /// No server answered in time.
    #[error("no DNS server answered for `{0}` in time")]
    Timeout(String),
    /// The servers could not be reached, or answered with garbage.
    #[error("DNS cannot be asked for `{name}`: {source}")]
    Failed {
        /// What was looked up.
        name: String,
        /// What went wrong.
        source: NetError,
    },
    /// Aliases lead in a circle, or too far.
    #[error("the CNAME records of `{0}` lead nowhere")]
    AliasLoop(String),
}

impl ResolverError {
    /// Whether DNS itself says that there is nothing, which is an answer.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoSuchName(_) | Self::NoAnswer { .. })
    }
}
