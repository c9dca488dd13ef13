//! `proxy certs list`: one line per name, page by page, so that even a million names need little memory.

use std::io::Write;

use super::error::Error;
use super::target::TargetFlags;
use crate::admin::Line;
use crate::cli::table::Table;

/// Number of names in memory at once.
const PAGE: usize = 5_000;

const HEAD: [&str; 5] = ["NAME", "ISSUER", "NOT AFTER", "RENEW AT", "STANDING"];

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Print one JSON object per line instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetFlags,
}

impl List {
    pub(super) async fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let target = self.target.open().await?;
        let mut table = Table::new(HEAD);
        let mut after = None;
        loop {
            let page = target.page(after.as_deref(), PAGE).await?;
            if self.json {
                write_json(&page.certificates, out)?;
            } else {
                table.write(page.certificates.iter().map(cells), out)?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if !self.json && !target.is_live() {
            writeln!(out, "\n({})", target.source())?;
        }
        Ok(())
    }
}

fn write_json(lines: &[Line], out: &mut dyn Write) -> Result<(), Error> {
    for line in lines {
        writeln!(out, "{}", serde_json::to_string(line)?)?;
    }
    Ok(())
}

fn cells(line: &Line) -> [&str; 5] {
    let known = [&line.issuer, &line.not_after, &line.renew_at];
    let [issuer, not_after, renew_at] = known.map(|value| value.as_deref().unwrap_or("-"));
    [&line.name, issuer, not_after, renew_at, &line.standing]
}
