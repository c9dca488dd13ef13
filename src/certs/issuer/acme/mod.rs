//! The ACME issuer: keeps one account at a CA and places orders. The protocol itself is in `crate::acme`.

mod account_keeper;
mod account_records;
mod acme_issuer;
mod order_path;
mod order_record;
mod order_terms;
mod public_directory;
mod stale_orders;

pub use acme_issuer::AcmeIssuer;
pub(crate) use stale_orders::StaleOrders;
