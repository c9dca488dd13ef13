//! One backend: requests in flight, limit of connections, health, slow start, and the hash for sticky clients.

mod backend;
mod backend_figures;
mod backend_state;
mod backend_status;
mod client_share;
mod health_record;
mod health_state;
mod in_flight;
mod max_connections;
mod rendezvous;
mod slow_start;

pub use backend::Backend;
pub use backend_figures::BackendTotals;
pub use backend_state::BackendState;
pub use backend_status::BackendStatus;
pub use client_share::ClientShare;
pub use health_record::LastCheck;
pub use in_flight::InFlight;

pub(super) use client_share::{ClientCounts, HeldConnection};
pub(super) use health_state::HealthState;
pub(super) use in_flight::Lane;
pub(super) use max_connections::{LimitSlot, MaxConnections};
pub(super) use rendezvous::{Bidder, client_seed, highest_bidder};
