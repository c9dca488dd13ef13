//! Settings of the internal CA.

use super::NameConstraint;

/// Settings with which the root of the internal CA is created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InternalCaOptions {
    /// Names that the root may sign; all local names if empty.
    pub name_constraints: Vec<NameConstraint>,
}
