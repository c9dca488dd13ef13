//! Background work of the certificate manager: renewals at their time, and what was left behind.

mod scheduler;
mod stale_dns_records;
mod store_sweep;

pub(super) use scheduler::{Due, Note, Scheduler};
pub(super) use store_sweep::StoreSweep;
