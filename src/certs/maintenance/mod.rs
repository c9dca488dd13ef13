//! Background work of the certificate manager: renewals when they are due, and the removal of stale records.

mod scheduler;
mod stale_dns_records;
mod start;
mod store_sweep;

pub use start::start;
