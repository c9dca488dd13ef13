//! The status of an upstream, for people and for metrics.

use tokio::time::Instant;

use super::upstream::Upstream;
use crate::upstream::backend::{Backend, BackendStatus};

/// Status of one upstream.
#[derive(Clone, Debug)]
pub struct UpstreamStatus {
    /// Its backends, in the order of their addresses.
    pub backends: Vec<BackendStatus>,
    /// Number of requests in its queue.
    pub queued: usize,
}

impl Upstream {
    /// Returns the status of this moment.
    #[must_use]
    pub fn status(&self) -> UpstreamStatus {
        UpstreamStatus {
            backends: self.backends().iter().map(Backend::status).collect(),
            queued: self.queued(),
        }
    }

    /// Takes a sample of the figures of all backends.
    pub fn sample(&self, now: Instant) {
        for backend in self.backends() {
            backend.sample(now);
        }
    }
}
