//! QUIC on UDP sockets: one endpoint for each worker, connection ids that lead to it, and the accept loop. Knows no TLS rules and
//! no HTTP.
//!
//! ```text
//! quic_accept_loop -> { worker_socket -> quic_network -> { passed_datagram, quic_keys -> connection_ids }, task_runtime }
//! ```

mod connection_ids;
mod passed_datagram;
mod quic_accept_loop;
mod quic_keys;
mod quic_network;
mod task_runtime;
mod transport;
mod udp_listener;
mod worker_socket;

pub use quic_accept_loop::{AcceptedQuic, QuicAcceptLoop, QuicAcceptParts};
pub use quic_keys::QuicKeys;
pub use quic_network::{PredecessorLink, QuicNetwork, SuccessorLink};
pub use udp_listener::UdpListener;
pub use worker_socket::{ClosedSocket, WorkerSockets};

pub(super) use quic_accept_loop::Handshaking;
pub(super) use transport::{FIRST_WINDOW, WINDOW, transport_config};
