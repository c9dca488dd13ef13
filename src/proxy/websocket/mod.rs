//! WebSocket over HTTP/1.1 and HTTP/2: the handshake with the backend, and the tunnel after it.

mod direction;
mod frames;
mod stream_io;
mod tunnel;
pub(super) mod upgrade;
mod web_socket_key;

pub use stream_io::{OnTunnel, StreamIo};
