//! Who signs: a CA over ACME, or this machine's own CA for local names.

mod acme;
mod contract;
mod error;
mod internal;

pub use acme::AcmeIssuer;
pub use contract::{IssueRequest, Issuer, Pem, Predecessor};
pub use error::Error;
pub use internal::InternalCa;
