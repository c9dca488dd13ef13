//! DNS resolution of the hosts and services of backends.

mod cached_name;
mod host_lookup;
mod resolved_ip;
mod resolver;
mod srv;

pub use resolver::Resolver;

pub(super) use cached_name::{CachedName, RETRY_AFTER};
pub(super) use resolved_ip::ResolvedIp;
