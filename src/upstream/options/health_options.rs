//! Settings of the active health check, with the defaults.

use std::time::Duration;

use super::status_range::StatusRange;

/// Settings of the active check: a request that is sent at intervals to learn whether a backend works.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthOptions {
    /// Path of the request, with a leading slash.
    pub path: String,
    /// Status codes of a healthy backend.
    pub expect: StatusRange,
    /// Time from the end of one check to the next.
    pub interval: Duration,
    /// Time that one check may take.
    pub timeout: Duration,
    /// Number of good checks in a row that mark a backend up.
    pub rise: u16,
    /// Number of bad checks in a row that mark a backend down.
    pub fall: u16,
    /// Host of the request; by default the backend's address.
    pub host: Option<String>,
}

impl HealthOptions {
    /// A check of `path` with the defaults.
    #[must_use]
    pub fn new(path: String) -> Self {
        Self {
            path,
            expect: StatusRange::SUCCESS_OR_REDIRECT,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            host: None,
        }
    }
}
