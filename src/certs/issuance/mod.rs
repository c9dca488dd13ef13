//! The path of one certificate: storage, permission, order at one issuer after the other, storage.

mod ari;
mod failover;
mod failure_backoff;
mod failures;
mod issuer_names;
mod obtain;
mod request;
mod unconfigured_issuer;

pub(super) use ari::FIRST_QUESTIONS;
#[cfg(test)]
pub(super) use failures::told;
#[cfg(test)]
pub(super) use failures::{DUE_ON_ARRIVAL, PANIC};
pub(super) use obtain::Obtainer;
pub(super) use request::{Purpose, Wanted};
