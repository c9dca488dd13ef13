//! `proxy run`, and `proxy` alone.

use super::command_line::{Failure, Start};
use super::source::Source;

pub(super) fn execute(source: Source, start: Start) -> Result<(), Failure> {
    let loaded = source.load()?;
    start(loaded.config, loaded.file).map_err(Failure::Run)
}
