//! Memory that requests and responses hold: in all, per client and per connection. Knows no sockets.

mod client_memory;
mod connection_memory;
mod flow_window;
mod held_bytes;
mod held_sizes;
mod release_signal;
mod repayment;

pub use client_memory::{ClientMemory, StreamMemory};
pub use connection_memory::{ConnectionMemory, HeldMemory};
pub use flow_window::{FlowWindow, Transfer};
pub use held_bytes::HeldBytes;
pub use held_sizes::{
    ChunkSizes, RUNNING_SIZE, SMALL_HEAD, TUNNEL_SIZE, WAITING_SIZE, head_size, piece_size,
    request_head_size, small_upload_size,
};
pub use release_signal::{RECHECK, ReleaseSignal};
pub use repayment::Repayment;
