//! A request that nobody has read.

use http::{StatusCode, Version};

use super::reason::Reason;

/// How a request was refused that could not be read, so that no service has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// What its connection speaks.
    pub version: Version,
    /// The answer, or what it would have been.
    pub status: StatusCode,
    /// Why.
    pub reason: Reason,
}
