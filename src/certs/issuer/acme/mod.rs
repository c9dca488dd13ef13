//! The ACME issuer: keeps one account at a CA and places orders. The protocol itself is in `crate::acme`.

mod account_keeper;
mod account_records;
mod acme_issuer;
mod expired_order_records;
mod order_attempt;
mod order_record;
mod order_terms;
mod signing_request;

pub use acme_issuer::AcmeIssuer;
pub(crate) use expired_order_records::ExpiredOrderRecords;
