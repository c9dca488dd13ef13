//! The target of a request, and the path prefixes that it is compared with.

mod origin_form;
mod path_prefix;

pub(super) use origin_form::origin_form;
pub use origin_form::{CutTarget, checked_target};
pub use path_prefix::{PathPrefix, PrefixError};
