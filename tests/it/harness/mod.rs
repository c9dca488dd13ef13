//! Real peers for the tests, and what makes them.

pub(crate) mod door;
pub(crate) mod origin;
pub(crate) mod raw;
