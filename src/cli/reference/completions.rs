//! `proxy completions`: the script with which a shell completes commands and flags.

use std::io::{self, Write};

use clap_complete::Shell;

/// Print the script with which a shell completes commands and flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Completions {
    /// Shell that the script is for
    shell: Shell,
}

impl Completions {
    /// Writes the script for `command`, which is the whole command line.
    pub(in crate::cli) fn execute(
        &self,
        mut command: clap::Command,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        // The generator panics when it cannot write, so it writes into memory.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "proxy", &mut script);
        out.write_all(&script)
    }
}
