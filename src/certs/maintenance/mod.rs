//! Background work of the certificate manager: renewals at their time, and what was left behind.

mod scheduler;
mod stale_dns_records;
mod start;
mod store_sweep;

pub use start::start;
