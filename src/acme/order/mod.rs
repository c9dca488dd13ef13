//! Orders, from their placing to the certificate: authorizations, challenges and chains.

mod authorization;
mod chain;
mod dns_persist_record;
mod key_authorization;
mod order;
mod solver;

pub use dns_persist_record::DnsPersistRecord;
pub use key_authorization::KeyAuthorization;
pub use order::{NewOrder, Order};
pub use solver::{Presented, Solver};
