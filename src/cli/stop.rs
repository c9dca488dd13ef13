//! `proxy stop`: the running proxy ends after its requests.

use std::io::Write;

use super::certs::{Error, TargetFlags, wait_for};

/// Stop the running proxy after its requests have ended, and wait for that.
#[derive(Debug, clap::Args)]
pub(super) struct Stop {
    #[command(flatten)]
    target: TargetFlags,
}

impl Stop {
    pub(super) fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        wait_for(async {
            let stopped = self.target.running().await?.stop().await?;
            match stopped.cut {
                0 => writeln!(out, "stopped")?,
                1 => writeln!(out, "stopped; 1 connection was cut at the end of the drain")?,
                cut => writeln!(
                    out,
                    "stopped; {cut} connections were cut at the end of the drain"
                )?,
            }
            Ok(())
        })
    }
}
