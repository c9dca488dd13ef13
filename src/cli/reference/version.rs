//! `proxy --version`: the version, and with `--verbose` what it was built from.

use std::io::{self, Write};

/// The flags about the version.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct VersionFlags {
    /// Print the version
    #[arg(short = 'V', long)]
    pub(in crate::cli) version: bool,
    /// Print the commit, the compiler and the libraries after the version
    #[arg(long, requires = "version")]
    verbose: bool,
}

/// Writes what the flags ask for.
pub(in crate::cli) fn write_version(flags: &VersionFlags, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "proxy {}", env!("CARGO_PKG_VERSION"))?;
    if !flags.verbose {
        return Ok(());
    }
    for (name, value) in [
        ("commit", env!("BUILD_COMMIT")),
        ("compiler", env!("BUILD_COMPILER")),
        ("target", env!("BUILD_TARGET")),
        ("protocols", "HTTP/1.1, HTTP/2, WebSocket, gRPC"),
        ("compression", "zstd, brotli, gzip"),
        ("TLS", env!("BUILD_TLS")),
        ("allocator", "mimalloc"),
    ] {
        writeln!(out, "{name:<11}  {value}")?;
    }
    Ok(())
}
