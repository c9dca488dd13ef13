//! `proxy certs account rollover`: new keys for the accounts at the CAs.

use std::io::Write;

use super::error::Error;
use super::office::{Ca, Places};

#[derive(Debug, clap::Args)]
pub(super) struct Account {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Put a new key in the place of the account's, at every configured CA
    Rollover(Box<Rollover>),
}

#[derive(Debug, clap::Args)]
struct Rollover {
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    ca: Ca,
}

impl Account {
    pub(super) async fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let Action::Rollover(rollover) = self.action;
        let office = rollover.places.revoking_office(rollover.ca).await?;
        let done = office.roll_account_keys().await?;
        writeln!(out, "{}", done.done)?;
        Ok(())
    }
}
