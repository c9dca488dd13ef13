//! The internal CA of this machine: a long-lived root, an intermediate and short-lived leaves.

mod intermediate;
mod internal_ca;
mod name_constraint;
mod options;
mod root;

pub use internal_ca::InternalCa;
pub use name_constraint::NameConstraint;
pub(super) use name_constraint::list;
pub use options::InternalCaOptions;
