//! HTTP/3 on one QUIC connection. The library `h3` reads and writes its frames; each request is a task.
//!
//! ```text
//! http3 -> request_stream -> { early_data, { response_sender, request_body } -> windows }
//!   `----> quic_connection -> quic_streams -> frame_scanner
//! ```

mod early_data;
mod frame_scanner;
mod http3;
mod quic_connection;
mod quic_streams;
mod request_body;
mod request_stream;
mod response_sender;
mod windows;

pub(super) use early_data::EarlyData;
pub(super) use http3::{Http3Connection, serve};
