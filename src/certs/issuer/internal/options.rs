//! What the configuration says of the internal CA.

use super::NameConstraint;

/// What the internal CA's root is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InternalCaOptions {
    /// What the root may sign for; without any, all that is local.
    pub name_constraints: Vec<NameConstraint>,
}
