//! What the life of a certificate leaves in storage, and under which keys.

mod attempts;
mod records;

pub use attempts::{Attempts, TriedIssuer};
pub use records::{Records, Stored};

pub(super) use records::{ATTEMPTS, ATTEMPTS_ENDING, CERTIFICATES};
