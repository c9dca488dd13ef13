//! The stored records of certificates: the certificates themselves, their renewal plans, and failed attempts.

mod attempts;
mod records;

pub use attempts::{Attempts, TriedIssuer};
pub use records::{Records, Stored};

pub(super) use records::{ATTEMPTS, ATTEMPTS_ENDING, CERTIFICATES};
