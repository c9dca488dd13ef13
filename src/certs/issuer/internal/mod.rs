//! The CA of this machine: a root that is kept, an intermediate of a week, leaves of half a day.

mod intermediate;
mod internal_ca;
mod name_constraint;
mod options;
mod root;

pub use internal_ca::InternalCa;
pub use name_constraint::NameConstraint;
pub(super) use name_constraint::list;
pub use options::InternalCaOptions;
