//! One HTTP connection: its versions of HTTP, its deadlines and its end.

mod batched_stream;
mod client_resets;
mod connection_error;
mod deadlines;
mod driver;
mod half_close;
mod http;
mod http1;
mod http2;
mod http2_stream;
mod request_handler;
mod response_sender;
mod tracked_body;
mod tracked_stream;
mod waiting_requests;

pub use http::{Http, HttpConnection};

pub(super) use deadlines::Deadlines;
pub(super) use driver::{Driver, Protocol};
pub(super) use http1::head_limits;
pub(super) use request_handler::{RequestHandler, boxed};
pub(super) use tracked_body::{RequestMark, TrackedBody};
