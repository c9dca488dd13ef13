//! The subcommands of `proxy certs`, and those among them that only print a result: renew, revoke, import, account.

use std::io::{self, Write};
use std::path::PathBuf;

use super::error::Error;
use super::list::List;
use super::show::Show;
use super::target::{CaFlags, TargetFlags};
use crate::app;

/// List, show, renew, revoke and import certificates
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Certs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List all names with their issuer, validity, renewal and standing
    List(List),
    /// Show everything known about one name, including why it has no certificate
    Show(Show),
    /// Renew a certificate in the running proxy now, and wait for the result
    Renew(Renew),
    /// Revoke a certificate; a running proxy replaces it
    Revoke(Revoke),
    /// Import certificates from a folder of another program, Traefik's acme.json, or a PEM file
    Import(Import),
    /// Manage the accounts at the CAs
    Account(Account),
}

#[derive(Debug, clap::Args)]
struct Renew {
    /// Name, such as `www.example.org` or `*.example.org`
    name: String,
    #[command(flatten)]
    target: TargetFlags,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// Name, such as `www.example.org` or `*.example.org`
    name: String,
    /// `unspecified`, `key-compromise`, `affiliation-changed`, `superseded`, `cessation-of-operation` or `privilege-withdrawn`
    #[arg(long, value_name = "REASON", default_value = "unspecified")]
    reason: String,
    #[command(flatten)]
    target: TargetFlags,
    #[command(flatten)]
    ca: CaFlags,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// Folder with PEM files, such as that of certbot, acme.sh, lego or Caddy; Traefik's acme.json; or a PEM file
    path: PathBuf,
    #[command(flatten)]
    target: TargetFlags,
    #[command(flatten)]
    ca: CaFlags,
}

#[derive(Debug, clap::Args)]
struct Account {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Replace the account key at every configured CA
    Rollover(Box<Rollover>),
}

#[derive(Debug, clap::Args)]
struct Rollover {
    #[command(flatten)]
    target: TargetFlags,
    #[command(flatten)]
    ca: CaFlags,
}

impl Certs {
    pub(in crate::cli) fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        wait_for(async {
            match self.command {
                Command::List(list) => list.execute(out).await,
                Command::Show(show) => show.execute(out).await,
                Command::Renew(renew) => renew.execute(out).await,
                Command::Revoke(revoke) => revoke.execute(out).await,
                Command::Import(import) => import.execute(out).await,
                Command::Account(account) => account.execute(out).await,
            }
        })
    }
}

impl Renew {
    async fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let done = self.target.running().await?.renew(&self.name).await?;
        writeln!(out, "{}", done.done)?;
        Ok(())
    }
}

impl Revoke {
    async fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let target = self.target.open_with_ca(self.ca).await?;
        let done = target.revoke(&self.name, &self.reason).await?;
        writeln!(out, "{}", done.done)?;
        Ok(())
    }
}

impl Import {
    async fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let config = self.target.load_with_ca(self.ca)?;
        let imported = app::import(&config, &self.path).await?;
        for line in imported.lines.iter().chain(&imported.refused) {
            writeln!(out, "{line}")?;
        }
        if imported.lines.is_empty() {
            Err(Error::NothingImported)
        } else {
            Ok(())
        }
    }
}

impl Account {
    async fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let Action::Rollover(rollover) = self.action;
        let target = rollover.target.open_with_ca(rollover.ca).await?;
        let done = target.roll_account_keys().await?;
        writeln!(out, "{}", done.done)?;
        Ok(())
    }
}

/// Runs a command to its end on a runtime of its own.
pub(in crate::cli) fn wait_for(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    match runtime.block_on(work) {
        // The reader has closed the pipe early, as `head` does.
        Err(Error::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
