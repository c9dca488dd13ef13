//! `proxy man`: a manual page for each command.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::cli::failure::CommandError;

/// Write a manual page for each command into a folder.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ManPages {
    /// Folder for the pages; it is created if it does not exist
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// The pages cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write manual pages into {}; give a folder that you may write to", folder.display())]
pub(in crate::cli) struct Error {
    folder: PathBuf,
    source: io::Error,
}

impl CommandError for Error {
    fn is_usage(&self) -> bool {
        false
    }
}

impl ManPages {
    /// Writes the pages of `command`, which is the whole command line, and of all its subcommands.
    pub(in crate::cli) fn execute(
        self,
        command: clap::Command,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let folder = self.folder;
        let failed = |source| Error {
            folder: folder.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        // `help` would double every page.
        let command = command.disable_help_subcommand(true);
        clap_mangen::generate_to(command, &folder).map_err(failed)?;
        writeln!(out, "manual pages are in {}", folder.display()).map_err(failed)
    }
}
