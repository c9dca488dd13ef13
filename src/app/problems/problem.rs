//! A problem that the operator wants to hear of, and the event that tells of it.

use serde::Serialize;

/// The part of the proxy that has a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// A certificate may expire.
    Certificate,
    /// All backends of an upstream are down.
    Upstream,
    /// Storage cannot be written.
    Storage,
}

/// A problem as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    /// Key by which two findings are the same problem.
    pub(super) cause: String,
    /// The names, addresses or directory.
    pub(super) subject: String,
    /// Description of the problem in one sentence.
    pub(super) sentence: String,
}

/// Change of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    /// The problem has come up.
    Problem,
    /// The problem is over.
    Over,
}

/// The message about a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Event {
    pub(super) event: Change,
    pub(super) kind: Kind,
    pub(super) subject: String,
    pub(super) sentence: String,
    /// Time at which the problem was found, in RFC 3339.
    pub(super) since: String,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Upstream => "upstream",
            Self::Storage => "storage",
        }
    }
}

impl Change {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Over => "over",
        }
    }
}
