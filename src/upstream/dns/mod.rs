//! DNS resolution of the hosts and services of backends.

mod cached_name;
mod host_lookup;
mod hosts_file;
mod name_failures;
mod name_table;
mod resolved_ip;
mod srv;

pub use name_table::Resolver;

pub(super) use cached_name::{CachedName, RETRY_AFTER};
pub(super) use name_failures::{NameFailure, NameFailures};
pub(super) use resolved_ip::ResolvedIp;
