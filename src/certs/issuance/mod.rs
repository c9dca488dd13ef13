//! The way to one certificate: storage, permission, an order at one issuer after the other, storage.

mod attempt_counts;
mod error;
mod failover;
mod failure_backoff;
mod failure_log;
mod failures;
mod obtain;
mod rehearsal;
mod renewal_plans;
mod request;
mod unconfigured_issuer;

pub use attempt_counts::AttemptResult;

#[cfg(test)]
pub(super) use error::Error;
pub(super) use failure_log::common_words;
#[cfg(test)]
pub(super) use failures::{DUE_WHEN_ISSUED, PANIC, with_doubt};
pub(super) use obtain::Obtainer;
pub use rehearsal::Rehearsal;
pub(super) use renewal_plans::FIRST_QUESTIONS;
pub(super) use request::{CertRequest, Purpose};
