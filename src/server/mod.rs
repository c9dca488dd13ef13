//! Listeners, client connections and their limits. Joins the two towers.
//!
//! ```text
//! https, plain_http -> connection -> accept
//! ```

mod accept;
mod connection;
mod http_on_https;
mod https;
mod https_location;
mod options;
mod plain_http;

pub use accept::{
    AcceptLoop, AcceptRules, Accepted, BindError, ClientLimit, ConnectionSlot, Listener,
    ProxyProtocol, StreamMemory,
};
pub use connection::{Http, HttpConnection};
pub use https::{Https, HttpsParts};
pub use options::{Limits, ListenOptions};
pub use plain_http::PlainHttp;
