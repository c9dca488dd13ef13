//! A CA over ACME: one account, kept, and one order per certificate.

mod account_keeper;
mod acme_issuer;
mod order_path;
mod order_record;

pub use acme_issuer::AcmeIssuer;
