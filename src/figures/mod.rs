//! Figures about requests and connections: counters that one worker writes to, and their sums. Knows no room but
//! `per_worker`.

mod connection_figures;
mod counted_request;
mod histogram;
mod recent;
mod request_figures;
mod site_figures;

pub use connection_figures::{
    ClientProtocol, ConnectionFigures, Handshake, HandshakeResult, OpenConnection, ProtocolCount,
    WorkerConnections,
};
pub use counted_request::{CountedRequest, CountedTunnel};
pub use histogram::{Histogram, HistogramTotals};
pub use recent::{LAST_MINUTE, RecentTotals, SAMPLE_EVERY, WINDOW, Window, WindowTotals};
pub use request_figures::{Outcome, RequestFigures, RequestTotals};
pub use site_figures::SiteFigures;
