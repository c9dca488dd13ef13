//! `proxy explain`: lists the effective configuration as a Proxyfile with explanations.

use std::io::Write;

use crate::config::explain;

use super::failure::Failure;
use super::source::Source;

pub(super) fn execute(source: Source, out: &mut dyn Write) -> Result<(), Failure> {
    let loaded = source.load()?;
    let origin = loaded.file.map_or_else(
        || "the command line".to_owned(),
        |file| file.path().display().to_string(),
    );
    out.write_all(explain(&loaded.config, origin).as_bytes())?;
    Ok(())
}
