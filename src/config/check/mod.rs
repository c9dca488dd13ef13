//! Whether a configuration can be used as a whole: sites beside each other, the files that it names, and what only a
//! restart can change. Knows no reader.

mod file_check;
mod restart_only;
mod site_checks;

pub use file_check::FileError;
pub(crate) use restart_only::check_restart_only;
pub(crate) use site_checks::{PlacedSite, check_together};
