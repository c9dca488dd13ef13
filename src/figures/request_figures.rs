//! Counters of the requests of one site on one worker, and their sums.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use super::histogram::{Histogram, HistogramTotals};

/// Outcome of a request: the class of its status, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Status 1xx, such as 101 for a WebSocket.
    Informational,
    /// Status 2xx.
    Success,
    /// Status 3xx.
    Redirection,
    /// Status 4xx.
    ClientError,
    /// Status 5xx.
    ServerError,
    /// No response: the client left before, or the backend failed.
    None,
}

impl Outcome {
    /// All outcomes, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Informational,
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::None,
    ];

    /// Returns the outcome of a response with this status.
    #[must_use]
    pub fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            ..200 => Self::Informational,
            200..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }

    /// Returns the word for the outcome, as in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        ["1xx", "2xx", "3xx", "4xx", "5xx", "none"][self as usize]
    }
}

/// Counters of requests that one worker writes to.
#[derive(Debug, Default)]
pub struct RequestFigures {
    begun: AtomicU64,
    ended: [AtomicU64; Outcome::ALL.len()],
    tunnels_ended: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    durations: Histogram,
    head_times: Histogram,
}

/// The sums of the counters of several workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestTotals {
    /// Requests and tunnels that have begun.
    begun: u64,
    /// Requests that have ended, by the number of their [`Outcome`].
    pub ended: [u64; Outcome::ALL.len()],
    tunnels_ended: u64,
    /// Bytes of bodies and tunnels that came from clients.
    pub received: u64,
    /// Bytes of bodies and tunnels that went to clients.
    pub sent: u64,
    /// Durations of requests that got a response, until the end of its body.
    pub durations: HistogramTotals,
    /// Times until the head of a backend's response.
    pub head_times: HistogramTotals,
}

impl RequestFigures {
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self, outcome: Outcome) {
        self.ended[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_tunnel(&self) {
        self.tunnels_ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn record_duration(&self, micros: u64) {
        self.durations.record(micros);
    }

    /// Counts the time until the head of a backend's response.
    pub fn record_head_time(&self, micros: u64) {
        self.head_times.record(micros);
    }

    /// Counts bytes that came from a client.
    pub fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that went to a client.
    pub fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the counts of this moment.
    #[must_use]
    pub fn totals(&self) -> RequestTotals {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // Ends are read before beginnings, so that no request seems to have ended before it began.
        let (ended, tunnels_ended) = (self.ended.each_ref().map(load), load(&self.tunnels_ended));
        RequestTotals {
            ended,
            tunnels_ended,
            begun: load(&self.begun),
            received: load(&self.received),
            sent: load(&self.sent),
            durations: self.durations.totals(),
            head_times: self.head_times.totals(),
        }
    }
}

impl RequestTotals {
    /// Adds the counts of another worker.
    pub fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        for (count, more) in self.ended.iter_mut().zip(other.ended) {
            *count += more;
        }
        self.tunnels_ended += other.tunnels_ended;
        self.received += other.received;
        self.sent += other.sent;
        self.durations.add(&other.durations);
        self.head_times.add(&other.head_times);
    }

    /// Number of requests that have ended, whatever their outcome.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.ended.iter().sum()
    }

    /// Number of requests and tunnels in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.begun
            .saturating_sub(self.requests())
            .saturating_sub(self.tunnels_ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_outcome_of_its_class() {
        for (status, word) in [
            (101, "1xx"),
            (204, "2xx"),
            (308, "3xx"),
            (404, "4xx"),
            (503, "5xx"),
            (999, "5xx"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Outcome::of(status).word(), word);
        }
        for (number, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, number);
        }
    }
}
