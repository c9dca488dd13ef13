//! A CA over ACME: one account, kept, and one order per certificate.

mod account_keeper;
mod acme_issuer;
mod public_directory;

pub use acme_issuer::AcmeIssuer;
