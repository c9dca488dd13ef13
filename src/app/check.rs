//! Whether a configuration can come into effect, as far as its files tell.

use super::Error;
use super::file_pairs::FilePairs;
use crate::config::Config;
use crate::upstream::SystemRoots;

/// Reads all files that the configuration names. Blocks.
pub fn check(config: &Config) -> Result<(), Error> {
    check_files(config, &SystemRoots::default())?;
    FilePairs::read(&config.sites).map(drop)
}

/// The same without what is found out where the pairs of certificate and key are read to be served.
pub(super) fn check_files(config: &Config, system: &SystemRoots) -> Result<(), Error> {
    let errors = config.check_files(system);
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Error::Files(errors)),
    }
}
