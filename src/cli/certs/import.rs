//! `proxy certs import PATH`: take over what another program left behind.

use std::io::Write;
use std::path::PathBuf;

use super::error::Error;
use super::office::{Ca, Places};
use crate::app;

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// certbot's `live`, Caddy's data folder, Traefik's `acme.json`, lego's folder, or PEM
    path: PathBuf,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    ca: Ca,
}

impl Import {
    pub(super) async fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let config = self.places.resolve(self.ca)?;
        let imported = app::import(&config, &self.path).await?;
        for line in &imported.lines {
            writeln!(out, "{line}")?;
        }
        match imported.refused.is_empty() {
            true => Ok(()),
            false => Err(Error::NotImported(imported.refused)),
        }
    }
}
