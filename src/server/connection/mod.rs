//! One HTTP connection: its versions of HTTP, its deadlines and its end.

mod connection_error;
mod deadlines;
mod driver;
mod http;
mod http1;
mod http2;
mod http2_stream;
mod request_handler;
mod tracked_body;
mod tracked_stream;

pub use http::{Http, HttpConnection};

pub(in crate::server) use deadlines::Deadlines;
pub(in crate::server) use driver::Driver;
pub(in crate::server) use http1::builder as http1_builder;
pub(in crate::server) use tracked_body::{RequestMark, TrackedBody};
pub(in crate::server) use tracked_stream::TrackedStream;
