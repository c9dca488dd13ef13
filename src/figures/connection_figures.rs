//! Counters of TLS handshakes and of connections by protocol, kept for each worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::per_worker::{CachePadded, PerWorker};

/// Protocol of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientProtocol {
    /// HTTP/1.1 without TLS.
    PlainHttp1,
    /// HTTP/1.1 over TLS.
    Http1,
    /// HTTP/2 over TLS.
    Http2,
    /// HTTP/3 over QUIC.
    Http3,
}

impl ClientProtocol {
    const ALL: [Self; 4] = [Self::PlainHttp1, Self::Http1, Self::Http2, Self::Http3];

    /// Returns the word for the protocol, as in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        ["http", "https-http1", "https-http2", "https-http3"][self as usize]
    }
}

/// Result of a TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeResult {
    /// The session is new.
    Full,
    /// An earlier session was resumed.
    Resumed,
    /// The handshake failed.
    Failed,
}

/// Version and result of a TLS handshake, as labels of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// `1.2` or `1.3`; `unknown` if it failed.
    pub version: &'static str,
    /// Its result.
    pub result: HandshakeResult,
}

const HANDSHAKES: [Handshake; 5] = [
    handshake("1.2", HandshakeResult::Full),
    handshake("1.2", HandshakeResult::Resumed),
    handshake("1.3", HandshakeResult::Full),
    handshake("1.3", HandshakeResult::Resumed),
    handshake("unknown", HandshakeResult::Failed),
];

const fn handshake(version: &'static str, result: HandshakeResult) -> Handshake {
    Handshake { version, result }
}

/// Counters of one worker.
#[derive(Debug, Default)]
pub struct WorkerConnections {
    handshakes: [AtomicU64; HANDSHAKES.len()],
    opened: [AtomicU64; ClientProtocol::ALL.len()],
    closed: [AtomicU64; ClientProtocol::ALL.len()],
}

impl WorkerConnections {
    /// Counts a handshake that has succeeded.
    pub fn shook_hands(&self, is_tls13: bool, is_resumed: bool) {
        let index = 2 * usize::from(is_tls13) + usize::from(is_resumed);
        self.handshakes[index].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a handshake that has failed.
    pub fn failed_handshake(&self) {
        self.handshakes[HANDSHAKES.len() - 1].fetch_add(1, Ordering::Relaxed);
    }
}

/// One open connection. It counts until it is dropped.
#[derive(Debug)]
pub struct OpenConnection {
    figures: Arc<CachePadded<WorkerConnections>>,
    protocol: ClientProtocol,
}

impl OpenConnection {
    /// Counts a connection from now on.
    #[must_use]
    pub fn new(figures: &Arc<CachePadded<WorkerConnections>>, protocol: ClientProtocol) -> Self {
        figures.opened[protocol as usize].fetch_add(1, Ordering::Relaxed);
        Self {
            figures: Arc::clone(figures),
            protocol,
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.figures.closed[self.protocol as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Connections of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolCount {
    /// The protocol.
    pub protocol: ClientProtocol,
    /// Connections since the start.
    pub total: u64,
    /// Connections that are open.
    pub open: u64,
}

/// Counters of all workers. Clones share them.
#[derive(Clone, Debug)]
pub struct ConnectionFigures(PerWorker<Arc<CachePadded<WorkerConnections>>>);

impl ConnectionFigures {
    /// Counters at zero, for a number of `workers`.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self(PerWorker::new(workers, |_| Arc::default()))
    }

    /// Counters of the worker with this number.
    #[must_use]
    pub fn of_worker(&self, worker: usize) -> &Arc<CachePadded<WorkerConnections>> {
        &self.0[worker]
    }

    /// Returns the number of handshakes of each kind.
    #[must_use]
    pub fn handshakes(&self) -> [(Handshake, u64); HANDSHAKES.len()] {
        let mut index = 0;
        HANDSHAKES.map(|handshake| {
            let count = self.sum(|worker| &worker.handshakes[index]);
            index += 1;
            (handshake, count)
        })
    }

    /// Returns the number of connections of each protocol.
    #[must_use]
    pub fn protocols(&self) -> [ProtocolCount; ClientProtocol::ALL.len()] {
        ClientProtocol::ALL.map(|protocol| {
            let closed = self.sum(|worker| &worker.closed[protocol as usize]);
            let total = self.sum(|worker| &worker.opened[protocol as usize]);
            ProtocolCount {
                protocol,
                total,
                open: total.saturating_sub(closed),
            }
        })
    }

    fn sum(&self, counter: impl Fn(&WorkerConnections) -> &AtomicU64) -> u64 {
        let counters = self.0.iter().map(|worker| counter(worker));
        counters.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_handshakes_of_all_workers_are_summed() {
        let figures = ConnectionFigures::new(2);
        figures.of_worker(0).shook_hands(true, false);
        figures.of_worker(1).shook_hands(true, true);
        figures.of_worker(1).shook_hands(true, true);
        figures.of_worker(1).shook_hands(false, false);
        figures.of_worker(1).failed_handshake();
        let counts = figures.handshakes().map(|(_, count)| count);
        assert_eq!(counts, [1, 0, 1, 2, 1]);
        let one = OpenConnection::new(figures.of_worker(0), ClientProtocol::Http2);
        let other = OpenConnection::new(figures.of_worker(1), ClientProtocol::Http2);
        drop(one);
        let [_, _, http2, _] = figures.protocols();
        assert_eq!((http2.total, http2.open), (2, 1));
        drop(other);
        let [plain, _, http2, _] = figures.protocols();
        assert_eq!((http2.total, http2.open, plain.total), (2, 0, 0));
    }
}
