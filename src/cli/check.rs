//! `proxy check`: whether the configuration is valid and the files that it names can be used.

use std::io::Write;

use super::command_line::Failure;
use super::source::Source;

pub(super) fn execute(source: Source, out: &mut dyn Write) -> Result<(), Failure> {
    let loaded = source.load()?;
    let file_errors = loaded.config.check_files();
    if !file_errors.is_empty() {
        return Err(Failure::Files(file_errors));
    }
    let name = loaded.path.map_or_else(
        || "The command line".to_owned(),
        |path| path.display().to_string(),
    );
    let sites = match loaded.config.sites.len() {
        1 => "1 site".to_owned(),
        count => format!("{count} sites"),
    };
    writeln!(out, "{name} is valid: {sites}")?;
    Ok(())
}
