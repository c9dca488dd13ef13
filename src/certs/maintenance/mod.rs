//! Background work of the certificate manager: renewals when they are due, and the removal of stale records.

mod scheduler;
mod stale_dns_records;
mod start_manager;
mod store_sweep;

pub use start_manager::start;
