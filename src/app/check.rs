//! Whether a configuration can come into effect, as far as its files tell.

use super::Error;
use super::file_pairs::FilePairs;
use crate::config::Config;

/// Reads all files that the configuration names. Blocks.
pub fn check(config: &Config) -> Result<(), Error> {
    let errors = config.check_files();
    if !errors.is_empty() {
        return Err(Error::Files(errors));
    }
    FilePairs::read(&config.sites).map(drop)
}
