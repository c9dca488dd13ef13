//! Reasons why the proxy answers a request itself, and the counters and the log of refusals.

mod error;
mod failure_log;
mod guard_refusal;
mod reason;
mod refusal_counters;

pub use error::Error;
pub(super) use failure_log::{FailedRequest, FailureLog};
pub use guard_refusal::GuardRefusal;
pub use reason::{Reason, RejectedEarly};
pub use refusal_counters::{RefusalCounters, WorkerRefusals};
