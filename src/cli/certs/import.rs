//! `proxy certs import PATH`: take over what another program left behind.

use std::io::Write;
use std::path::PathBuf;

use super::error::Error;
use super::office::{Ca, Places};
use crate::app;

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// certbot's, Caddy's or lego's folder, Traefik's acme.json, or a PEM file
    path: PathBuf,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    ca: Ca,
}

impl Import {
    pub(super) async fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let config = self.places.resolve_with_ca(self.ca)?;
        let imported = app::import(&config, &self.path).await?;
        for line in imported.lines.iter().chain(&imported.refused) {
            writeln!(out, "{line}")?;
        }
        match imported.lines.is_empty() {
            true => Err(Error::NothingImported),
            false => Ok(()),
        }
    }
}
