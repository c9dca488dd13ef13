//! Requests and tunnels in progress, which count at their site until they are dropped.

use std::sync::Arc;

use http::StatusCode;

use super::request_figures::{Outcome, RequestFigures};
use crate::per_worker::CachePadded;

/// One request in progress. It counts with its outcome when it is dropped.
#[derive(Debug)]
pub struct CountedRequest {
    figures: Arc<CachePadded<RequestFigures>>,
    outcome: Outcome,
}

impl CountedRequest {
    /// Counts a request from now on.
    #[must_use]
    pub fn begin(figures: Arc<CachePadded<RequestFigures>>) -> Self {
        figures.begin();
        Self {
            figures,
            outcome: Outcome::None,
        }
    }

    /// Records that the head of the response goes to the client.
    pub fn answered(&mut self, status: StatusCode) {
        self.outcome = Outcome::of(status);
    }

    /// Counters of the request's site on its worker.
    #[must_use]
    pub fn figures(&self) -> &Arc<CachePadded<RequestFigures>> {
        &self.figures
    }

    /// Ends the request, and counts its duration.
    pub fn end(self, micros: u64) {
        self.figures.record_duration(micros);
    }

    /// Counts a tunnel that this request has become. The request itself ends with its response.
    #[must_use]
    pub fn tunnel(&self) -> CountedTunnel {
        self.figures.begin();
        CountedTunnel(Arc::clone(&self.figures))
    }
}

impl Drop for CountedRequest {
    fn drop(&mut self) {
        self.figures.end(self.outcome);
    }
}

/// One open tunnel. It is in flight until it is dropped.
#[derive(Debug)]
pub struct CountedTunnel(Arc<CachePadded<RequestFigures>>);

impl CountedTunnel {
    /// Counters of the tunnel's site on its worker.
    #[must_use]
    pub fn figures(&self) -> &RequestFigures {
        &self.0
    }
}

impl Drop for CountedTunnel {
    fn drop(&mut self) {
        self.0.end_tunnel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_flight_until_it_ends_with_its_outcome() {
        let figures = Arc::<CachePadded<RequestFigures>>::default();
        let mut request = CountedRequest::begin(Arc::clone(&figures));
        let left = CountedRequest::begin(Arc::clone(&figures));
        assert_eq!(figures.totals().in_flight(), 2);
        request.answered(StatusCode::SWITCHING_PROTOCOLS);
        let tunnel = request.tunnel();
        tunnel.figures().sent(7);
        request.end(1500);
        drop(left);
        let totals = figures.totals();
        assert_eq!((totals.in_flight(), totals.requests()), (1, 2));
        assert_eq!(totals.ended, [1, 0, 0, 0, 0, 1]);
        assert_eq!((totals.sent, totals.durations.count()), (7, 1));
        drop(tunnel);
        let totals = figures.totals();
        assert_eq!((totals.in_flight(), totals.requests()), (0, 2));
    }
}
