//! Who a command asks: the running proxy, else storage.

use std::ffi::OsString;
use std::path::PathBuf;

use super::error::Error;
use crate::admin::{Client, Done, Operations, Page, Report};
use crate::app;
use crate::cli::source::{find_file, given_path};
use crate::config::{Config, ConfigFile, Flags};

/// Where the proxy's data and its admin socket lie.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Places {
    /// Where certificates are kept, as in `file:/var/lib/proxy` [default: what the Proxyfile says]
    #[arg(long, value_name = "URL", env = "PROXY_STORAGE")]
    storage: Option<String>,
    /// The running proxy's admin socket [default: `admin.sock` in the data directory]
    #[arg(long, value_name = "PATH", env = "PROXY_ADMIN")]
    admin: Option<OsString>,
    /// Proxyfile that says both [default: ./Proxyfile, then /etc/proxy/Proxyfile]
    #[arg(long, value_name = "FILE", env = "PROXY_CONFIG")]
    config: Option<OsString>,
}

/// Which CA to reach when no proxy runs.
#[derive(Debug, clap::Args)]
pub(super) struct Ca {
    /// Without a running proxy and a Proxyfile: the CA, as `proxy run` takes it [default: letsencrypt]
    #[arg(long, value_name = "URL", env = "PROXY_ACME_DIRECTORY")]
    acme_directory: Option<String>,
    /// PEM file with an extra root for the CA's own HTTPS
    #[arg(long, value_name = "FILE", env = "PROXY_ACME_ROOT")]
    acme_root: Option<OsString>,
    /// Contact that the account was made with
    #[arg(long, value_name = "ADDR", env = "PROXY_EMAIL")]
    email: Option<String>,
}

impl Places {
    /// Reads the configuration as far as it says where things lie. With `--storage` no Proxyfile is
    /// looked for.
    fn resolve(self) -> Result<Config, Error> {
        self.resolve_with(Flags::default())
    }

    fn resolve_with(self, flags: Flags) -> Result<Config, Error> {
        let storage = self.storage.filter(|text| !text.is_empty());
        let named = given_path(self.config);
        let file = match (named, &storage) {
            (Some(path), _) => Some(path),
            (None, Some(_)) => None,
            (None, None) => find_file(),
        };
        let flags = Flags {
            storage,
            admin: given_path(self.admin),
            ..flags
        };
        Ok(match file {
            Some(path) => ConfigFile::new(path, flags).read()?,
            None => Config::without_sites(&flags)?,
        })
    }

    /// The configuration with these flags for its CA.
    pub(super) fn resolve_with_ca(self, ca: Ca) -> Result<Config, Error> {
        let given = |value: Option<String>| value.filter(|text| !text.is_empty());
        self.resolve_with(Flags {
            acme_directory: given(ca.acme_directory),
            acme_root: given_path(ca.acme_root),
            email: given(ca.email),
            ..Flags::default()
        })
    }

    /// The office to go to.
    pub(super) async fn office(self) -> Result<Office, Error> {
        let config = self.resolve()?;
        let socket = config.admin_path();
        let directory = config.storage.directory().to_owned();
        let counter = match Client::find(&socket).await? {
            Some(client) => Counter::Running(client),
            None => Counter::Stored(app::open_operations(&config)?),
        };
        Ok(Office {
            counter,
            directory,
            socket,
        })
    }

    /// The office that acts at the CAs.
    pub(super) async fn revoking_office(self, ca: Ca) -> Result<Office, Error> {
        let config = self.resolve_with_ca(ca)?;
        let socket = config.admin_path();
        let counter = match Client::find(&socket).await? {
            Some(client) => Counter::Running(client),
            None => Counter::Stored(app::open_revocation(&config)?),
        };
        Ok(Office {
            counter,
            directory: config.storage.directory().to_owned(),
            socket,
        })
    }

    /// The running proxy; an error that says which one when there is none.
    pub(in crate::cli) async fn running(self) -> Result<Client, Error> {
        let has_socket = self.admin.as_ref().is_some_and(|path| !path.is_empty());
        let config = self.resolve()?;
        let socket = config.admin_path();
        let client = Client::find(&socket).await?;
        client.ok_or_else(|| match has_socket {
            true => Error::NoAnswer(socket),
            false => Error::NotRunning(config.storage.directory().to_owned()),
        })
    }
}

/// Who answers.
#[derive(Debug)]
enum Counter {
    Running(Client),
    Stored(Operations),
}

/// Answers, from wherever they are to be had.
#[derive(Debug)]
pub(super) struct Office {
    counter: Counter,
    directory: PathBuf,
    socket: PathBuf,
}

impl Office {
    pub(super) async fn page(&self, after: Option<&str>, limit: usize) -> Result<Page, Error> {
        Ok(match &self.counter {
            Counter::Running(client) => client.page(after, limit).await?,
            Counter::Stored(desk) => desk.page(after, limit).await?,
        })
    }

    pub(super) async fn report(&self, name: &str) -> Result<Report, Error> {
        Ok(match &self.counter {
            Counter::Running(client) => client.report(name).await?,
            Counter::Stored(desk) => desk.report(name).await?,
        })
    }

    pub(super) async fn revoke(&self, name: &str, reason: &str) -> Result<Done, Error> {
        Ok(match &self.counter {
            Counter::Running(client) => client.revoke(name, reason).await?,
            Counter::Stored(desk) => desk.revoke(name, reason).await?,
        })
    }

    pub(super) async fn roll_account_keys(&self) -> Result<Done, Error> {
        Ok(match &self.counter {
            Counter::Running(client) => client.roll_account_keys().await?,
            Counter::Stored(desk) => desk.roll_account_keys().await?,
        })
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.counter, Counter::Running(_))
    }

    /// Where its answers come from, in one sentence.
    pub(super) fn source(&self) -> String {
        let (socket, directory) = (self.socket.display(), self.directory.display());
        match self.is_live() {
            true => format!("told by the running proxy on {socket}"),
            false => format!("read from {directory}; no proxy answers on {socket}"),
        }
    }
}
