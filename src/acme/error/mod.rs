//! Errors of the protocol: which step failed, who is to blame, and what they mean for the order and for the operator.

mod blame;
mod error;
mod order_effect;
mod root_cause;
mod sentence;
mod solver_error;
mod step;

pub use blame::Blame;
pub use error::Error;
pub use solver_error::SolverError;
pub use step::Step;
