//! The subcommands of `proxy certs`.

use std::io::Write;

use super::account::Account;
use super::error::Error;
use super::import::Import;
use super::list::List;
use super::renew::Renew;
use super::revoke::Revoke;
use super::runtime::wait_for;
use super::show::Show;

/// Look at certificates and act on them.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Certs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// One line per name: issuer, validity, renewal and state
    List(List),
    /// All that is known of one name, and what stands between it and its certificate
    Show(Show),
    /// Have the running proxy replace a certificate now, and wait for how that ends
    Renew(Renew),
    /// Take a certificate back; a running proxy puts another into its place
    Revoke(Revoke),
    /// Take over what certbot, Caddy, Traefik, lego or a pair of PEM files left behind
    Import(Import),
    /// Act on the accounts at the CAs
    Account(Account),
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
