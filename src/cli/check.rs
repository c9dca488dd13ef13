//! `proxy check`: whether the configuration is valid and the files that it names can be used, and which names no CA will sign.

use std::io::Write;

use super::failure::Failure;
use super::source::Source;
use crate::app;

/// Cure of a name that no public CA signs.
pub(super) const OWN_ISSUER: &str = "for a name inside a network, set `issuer = \"internal\"` at its site, or add a private CA as [[issuers]]";

pub(super) fn execute(source: Source, out: &mut dyn Write) -> Result<(), Failure> {
    let loaded = source.load()?;
    app::check(&loaded.config).map_err(|error| Failure::Usage(Box::new(error)))?;
    let name = loaded.file.map_or_else(
        || "The command line".to_owned(),
        |file| file.path().display().to_string(),
    );
    let sites = match loaded.config.sites.len() {
        1 => "1 site".to_owned(),
        count => format!("{count} sites"),
    };
    writeln!(out, "{name} is valid: {sites}")?;
    for reason in loaded.config.unsignable_names() {
        writeln!(out, "warning: {reason}; {OWN_ISSUER}")?;
    }
    Ok(())
}
