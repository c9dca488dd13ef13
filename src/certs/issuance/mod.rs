//! The way to one certificate: storage, permission, an order at one issuer after the other, storage.

mod ari;
mod error;
mod failover;
mod failure_backoff;
mod failures;
mod obtain;
mod request;
mod unconfigured_issuer;

pub(super) use ari::FIRST_QUESTIONS;
#[cfg(test)]
pub(super) use error::Error;
#[cfg(test)]
pub(super) use failures::{DUE_WHEN_ISSUED, PANIC, with_doubt};
pub(super) use obtain::Obtainer;
pub(super) use request::{CertRequest, Purpose};
