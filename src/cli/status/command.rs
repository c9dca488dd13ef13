//! The command and its flags: once or again and again, as a page for people or as JSON.

use std::io::{self, Write};
use std::time::Duration;

use tokio::time::sleep;

use super::sections::Sections;
use super::terminal::Terminal;
use crate::admin;
use crate::cli::certs::{Error, TargetFlags, wait_for};
use crate::cli::table::Painter;

/// Pause between two pages of `--watch`.
const PAUSE: Duration = Duration::from_secs(2);

/// Show the state of the running proxy.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Status {
    /// Only the site with this name, or the one that serves it [default: the whole proxy]
    #[arg(value_name = "NAME")]
    site: Option<String>,
    /// Print JSON; with `--watch`, one object per line
    #[arg(long)]
    json: bool,
    /// Show the state again every 2 seconds, until the command is stopped
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    target: TargetFlags,
}

impl Status {
    pub(in crate::cli) fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        wait_for(async {
            let client = self.target.running().await?;
            let terminal = Terminal::of_stdout();
            let page = Page {
                is_json: self.json,
                is_one_site: self.site.is_some(),
                painter: Painter::new(terminal.has_colour()),
            };
            let mut is_first = true;
            loop {
                let status = client.status(self.site.as_deref()).await?;
                let mut text = Vec::new();
                page.write(&status, self.watch, &mut text)?;
                if self.watch && !self.json {
                    terminal.redraw(&text, is_first, out)?;
                } else {
                    out.write_all(&text)?;
                }
                out.flush()?;
                if !self.watch {
                    return Ok(());
                }
                is_first = false;
                sleep(PAUSE).await;
            }
        })
    }
}

/// The form of the output.
struct Page {
    is_json: bool,
    is_one_site: bool,
    painter: Painter,
}

impl Page {
    fn write(&self, status: &admin::Status, is_line: bool, out: &mut dyn Write) -> io::Result<()> {
        if !self.is_json {
            return Sections::new(status, self.painter).write(self.is_one_site, out);
        }
        let json = if is_line {
            serde_json::to_string(status)
        } else {
            serde_json::to_string_pretty(status)
        };
        writeln!(out, "{}", json?)
    }
}
