//! The target of a request, and the path prefixes that it is compared with.

mod origin_form;
mod path_prefix;

pub use origin_form::checked_target;
pub(super) use origin_form::origin_form;
pub use path_prefix::{PathPrefix, PrefixError};
