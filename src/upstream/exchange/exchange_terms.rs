//! The terms of one exchange, and the count of its response.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::bound_connections::BoundConnections;
use crate::figures::RequestFigures;
use crate::upstream::backend::Lane;

/// Terms of one exchange.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct ExchangeTerms<'c> {
    /// Maximum time without progress until the head of the response.
    pub(in crate::upstream) limit: Duration,
    /// Connections that belong to the client's connection; `None` if it carries requests of many users.
    pub(in crate::upstream) bound: Option<&'c BoundConnections>,
    /// `true` if the request has a login for its connection.
    pub(in crate::upstream) has_connection_login: bool,
    /// Figures of the request's site, besides those of the backend.
    pub(in crate::upstream) figures: Option<&'c RequestFigures>,
}

impl ExchangeTerms<'_> {
    /// Counts a response whose head has just arrived.
    pub(super) fn count(&self, backend: &Lane, status: StatusCode, began: Instant) {
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        backend.figures().answered(status, micros);
        if let Some(figures) = self.figures {
            figures.record_head_time(micros);
        }
    }
}
