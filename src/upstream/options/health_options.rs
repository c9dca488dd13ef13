//! Settings of the active health check, with the defaults.

use std::time::Duration;

use super::status_range::StatusRange;

/// Settings of the active health check: a request that is sent at intervals to find out if a backend works.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthOptions {
    /// Path of the request, with a leading slash.
    pub path: String,
    /// Status codes that a healthy backend answers with.
    pub expect: StatusRange,
    /// Time from the end of one check to the start of the next.
    pub interval: Duration,
    /// Maximum time for one check.
    pub timeout: Duration,
    /// Number of successful checks in a row that mark a backend up.
    pub rise: u16,
    /// Number of failed checks in a row that mark a backend down.
    pub fall: u16,
    /// `Host` field of the request; by default the backend's address.
    pub host: Option<String>,
}

impl HealthOptions {
    /// A check of `path` with the default settings.
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
