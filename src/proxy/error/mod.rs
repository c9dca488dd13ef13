//! Reasons why the proxy answers a request itself, and the counters and the log of refusals.

mod error;
mod failure_log;
mod reason;
mod refusal;
mod refusal_counters;

pub use error::Error;
pub(super) use failure_log::FailureLog;
pub use reason::{Reason, RejectedEarly};
pub use refusal::Refusal;
pub use refusal_counters::{RefusalCounters, WorkerRefusals};
