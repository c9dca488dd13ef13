//! Limits on each request, with their defaults.

use std::time::Duration;

/// Limits on each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceOptions {
    /// Maximum number of header fields. Each Cookie field of an HTTP/2 request counts.
    pub head_fields: usize,
    /// Maximum size of a request's head, in bytes.
    pub head_size: usize,
    /// Maximum time without progress of a body, in either direction.
    pub body_timeout: Duration,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            head_fields: 100,
            head_size: 32 * 1024,
            body_timeout: Duration::from_secs(60),
        }
    }
}
