//! Exchange of one request and its response on one connection to a backend, and the opening of connections.

mod bound_connections;
mod connection_login;
mod dialer;
mod exchange;
mod exchange_terms;
mod failure;
mod http2_exchange;
mod lease;
mod response_body;
mod response_timeout;
mod tls_port;

pub use bound_connections::BoundConnections;
pub use connection_login::has_connection_login;
pub use response_body::ResponseBody;

pub(super) use dialer::{ConnectionNeeds, Dialer};
pub(super) use exchange::exchange;
pub(super) use exchange_terms::ExchangeTerms;
pub(super) use failure::Failure;
pub(super) use lease::{Http1Lease, Lease};
pub(super) use tls_port::refuse_tls_port;
