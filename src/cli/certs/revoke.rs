//! `proxy certs revoke NAME`: take a certificate back.

use std::io::Write;

use super::error::Error;
use super::office::{Ca, Places};

#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    /// The name, as in `www.example.org` or `*.example.org`
    name: String,
    /// `unspecified`, `key-compromise`, `affiliation-changed`, `superseded`, `cessation-of-operation` or `privilege-withdrawn`
    #[arg(long, value_name = "REASON", default_value = "unspecified")]
    reason: String,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    ca: Ca,
}

impl Revoke {
    pub(super) async fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let office = self.places.revoking_office(self.ca).await?;
        let done = office.revoke(&self.name, &self.reason).await?;
        writeln!(out, "{}", done.done)?;
        Ok(())
    }
}
