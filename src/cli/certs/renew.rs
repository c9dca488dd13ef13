//! `proxy certs renew NAME`: a new certificate now.

use std::io::Write;

use super::error::Error;
use super::office::Places;

#[derive(Debug, clap::Args)]
pub(super) struct Renew {
    /// The name, as in `www.example.org` or `*.example.org`
    name: String,
    #[command(flatten)]
    places: Places,
}

impl Renew {
    pub(super) async fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let proxy = self.places.running().await?;
        let done = proxy.renew(&self.name).await?;
        writeln!(out, "{}", done.done)?;
        Ok(())
    }
}
