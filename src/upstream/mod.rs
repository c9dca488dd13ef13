//! Where requests go: backends and the connections to them. Knows hosts and bytes, not routes or certificates.

mod address;
mod backend;
mod balance;
mod body;
mod connect;
mod connection;
mod error;
mod exchange;
mod group;
mod http2;
mod lease;
mod options;
mod pool;
mod resolve;
mod stall;
mod tls;
mod translate;
mod wire;

pub use address::{Address, AddressError, Protocol};
pub use backend::{Backend, InFlight};
pub use balance::Balancer;
pub use body::{RequestBody, ResponseBody};
pub use error::{BodyError, Error};
pub use group::{Means, Upstream};
pub use options::Options;
pub use resolve::{DnsServer, Resolver};
pub use tls::{IdentityFiles, TlsError, TlsOptions};
