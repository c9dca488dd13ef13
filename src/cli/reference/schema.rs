//! `proxy schema`: the JSON Schema of a Proxyfile.

use std::io::{self, Write};

use crate::config;

/// Writes the schema.
pub(in crate::cli) fn write_schema(out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &config::schema())?;
    writeln!(out)
}
