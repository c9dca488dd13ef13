//! Where requests go: backends and the connections to them. Knows hosts and bytes, not routes or certificates.

mod address;
mod backend;
mod balance;
mod body;
mod connect;
mod connection;
mod error;
mod exchange;
mod expectation;
mod group;
mod options;
mod pool;
mod send_proxy;
mod stall;

pub use address::{Address, AddressError};
pub use backend::{Backend, InFlight};
pub use balance::Balancer;
pub use body::{RequestBody, ResponseBody};
pub use error::{BodyError, Error};
pub use expectation::Expectation;
pub use group::{Means, Upstream};
pub use options::Options;
pub use send_proxy::{ClientAddresses, SendProxy};
