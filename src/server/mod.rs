//! The doors: listeners, connections and their limits. Joins the two towers.

mod activity;
mod connection;
mod crowd;
mod door;
mod error;
mod exchanges;
mod http;
mod http1;
mod http2;
mod http2_stream;
mod https;
mod listener;
mod options;
mod plain_http;
mod proxy_protocol;
mod reason;
mod resets;
mod stray_http;
mod tracked_body;
mod watched;

pub use crowd::{Crowd, Place};
pub use door::{Client, Door, Entry};
pub use error::Error;
pub use http::{Http, HttpConnection};
pub use https::{Https, HttpsParts};
pub use listener::Listener;
pub use options::{Limits, ListenOptions};
pub use plain_http::PlainHttp;
pub use proxy_protocol::ProxyProtocol;
