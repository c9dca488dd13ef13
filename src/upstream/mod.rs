//! Where requests go: backends and the connections to them. Knows hosts and bytes, not routes or certificates.

mod address;
mod backend;
mod balance;
mod body;
mod claim;
mod client_body;
mod condition;
mod connect;
mod connection;
mod error;
mod exchange;
mod expectation;
mod group;
mod health;
mod host;
mod http2;
mod interim;
mod lease;
mod limit;
mod means;
mod members;
mod options;
mod own_addresses;
mod pool;
mod pulse;
mod queue;
mod resolve;
mod retry;
mod roster;
mod send_proxy;
mod service;
mod stall;
mod succession;
mod system_roots;
mod terms;
mod tls;
mod trailers;
mod translate;
mod trip;
mod wire;

pub use address::{Address, AddressError, Protocol};
pub use backend::{Backend, InFlight};
pub use balance::{
    Balancer, BalancerError, Balancing, CookieKey, HealthOptions, Share, StatusRange,
    StatusRangeError, is_cookie_name,
};
pub use body::{RequestBody, ResponseBody};
pub use claim::{is_claim, remove_aliases};
pub use client_body::{ClientBody, StreamBody};
pub use error::{BodyError, Error};
pub use expectation::Expectation;
pub use group::Upstream;
pub use interim::Interims;
pub use means::Means;
pub use options::Options;
pub use own_addresses::{OwnAddresses, is_listener};
pub use resolve::{DnsServer, Resolver};
pub use send_proxy::{ClientAddresses, SendProxy};
pub use system_roots::SystemRoots;
pub use tls::{IdentityFiles, TlsError, TlsOptions};
pub use trailers::announce_trailers;
pub use trip::Caller;
