//! The stored records of certificates: the certificates themselves, their renewal plans, and failed attempts.

mod attempts;
mod certificate_store;
mod issuance_lock;

pub use attempts::{Attempts, TriedIssuer};
pub use certificate_store::{CertificateStore, Stored};

pub(super) use certificate_store::{ATTEMPTS, ATTEMPTS_ENDING, CERTIFICATES};
