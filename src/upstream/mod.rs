//! Where requests go: backends and the connections to them. Knows hosts and bytes, not routes or certificates.

mod address;
mod backend;
mod balance;
mod body;
mod condition;
mod connect;
mod connection;
mod error;
mod exchange;
mod group;
mod health;
mod ledger;
mod means;
mod options;
mod pool;
mod queue;
mod retry;
mod send_proxy;
mod stall;
mod succession;
mod trip;

pub use address::{Address, AddressError};
pub use backend::{Backend, InFlight};
pub use balance::{
    Balancer, BalancerError, Balancing, CookieKey, HealthOptions, Share, StatusRange,
    StatusRangeError, is_cookie_name,
};
pub use body::{RequestBody, ResponseBody};
pub use error::{BodyError, Error};
pub use group::Upstream;
pub use means::Means;
pub use options::Options;
pub use send_proxy::{ClientAddresses, SendProxy};
pub use trip::Caller;
