//! Orders, from their placing to the certificate: authorizations, challenges and chains.

mod authorization;
mod chain;
mod key_authorization;
mod order;
mod persistent_record;
mod solver;

pub use key_authorization::KeyAuthorization;
pub use order::{NewOrder, Order};
pub use persistent_record::PersistentRecord;
pub use solver::{Presented, Solver};
