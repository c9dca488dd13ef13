//! What one request may take, with the defaults.

use std::time::Duration;

/// What one request may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceOptions {
    /// Fields in a request's head, HTTP/2's cookie crumbs counted one by one.
    pub head_fields: usize,
    /// Bytes of a request's head.
    pub head_size: usize,
    /// How long a body may make no progress, in either direction.
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
