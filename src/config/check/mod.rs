//! Checks of a configuration as a whole: conflicts between sites, the files that it uses, and changes that need a restart.
//! Knows no reader.

mod named_files;
mod public_names;
mod restart_only;
mod site_conflicts;

pub(crate) use restart_only::check_restart_only;
pub(crate) use site_conflicts::{PlacedSite, check_together};
