//! `proxy upgrade`: another process takes the place of the running proxy.

use std::io::Write;
use std::path::PathBuf;

use super::certs::{Error, TargetFlags, wait_for};

/// Replace the running proxy by another process, which gets its sockets, and wait until that one serves.
#[derive(Debug, clap::Args)]
pub(super) struct Upgrade {
    /// Binary to run [default: the file of the running one, which a package has replaced]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    #[command(flatten)]
    target: TargetFlags,
}

impl Upgrade {
    pub(super) fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        wait_for(async {
            // The proxy may have another working directory.
            let binary = self.binary.map(std::path::absolute).transpose()?;
            let upgraded = self.target.running().await?.upgrade(binary).await?;
            writeln!(
                out,
                "upgraded: process {} serves, version {}; process {} ends when its clients have left",
                upgraded.pid, upgraded.version, upgraded.former_pid
            )?;
            Ok(())
        })
    }
}
