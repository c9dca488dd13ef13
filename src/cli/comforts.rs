//! What `proxy explain` says of the access log and of what sites add to their requests.

use std::io::{self, Write};

use crate::config::{ComfortOptions, Config};

use super::values::quoted;

/// All sites, wherever the keys stand.
pub(super) fn write_access_log(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    let Some(options) = &config.access_log else {
        return writeln!(out, "\n# access-log: none; requests are not logged");
    };
    writeln!(out, "\n[access-log]")?;
    let line = format!("file = {}", quoted(&options.target));
    writeln!(out, "{line:<44} # {}", config.origins.of("access-log"))?;
    writeln!(out, "format = {}", quoted(options.format))?;
    writeln!(out, "query = {}", options.query)
}

/// The keys of one site, within its table.
pub(super) fn write_site(comforts: &ComfortOptions, out: &mut dyn Write) -> io::Result<()> {
    if !comforts.access_log {
        writeln!(out, "access-log = false")?;
    }
    writeln!(out, "request-id = {}", comforts.request_id)
}
