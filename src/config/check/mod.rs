//! Checks of a configuration as a whole: conflicts between sites, the files that it uses, and changes that need a restart.
//! Knows no reader.

mod file_check;
mod restart_only;
mod site_checks;

pub use file_check::FileError;
pub(crate) use restart_only::check_restart_only;
pub(crate) use site_checks::{PlacedSite, check_together};
