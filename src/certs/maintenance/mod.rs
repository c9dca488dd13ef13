//! Background work of the certificate manager: renewals when they are due, and the removal of stale records.

mod daily_store_check;
mod scheduler;
mod served_check;
mod stale_dns_records;
mod start_manager;

pub use start_manager::start;
