//! Where requests go: backends and the connections to them. Knows hosts and bytes, not routes or certificates.

mod address;
mod options;

pub use address::{Address, AddressError};
pub use options::Options;
