//! Who signs: a CA over ACME, or this machine's own CA for local names.

mod acme;
mod contract;
mod error;
mod internal;

pub use acme::AcmeIssuer;
pub use contract::{IssueRequest, Issuer, Pem, Revocation, RevocationSigner};
pub use error::Error;

pub use crate::acme::RevocationReason;
pub use internal::{InternalCa, InternalCaOptions, NameConstraint};
