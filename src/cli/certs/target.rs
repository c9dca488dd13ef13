//! The target of a command: the running proxy, or storage if none runs.

use std::ffi::OsString;
use std::path::PathBuf;

use super::error::Error;
use crate::admin::{Client, Done, Operations, Page, Report};
use crate::app;
use crate::cli::source::{find_file, given_path};
use crate::config::{Config, ConfigFile, Flags};

/// The flags that name the storage and the admin socket.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TargetFlags {
    /// Data directory, such as `file:/var/lib/proxy` [default: as in the Proxyfile]
    #[arg(long, value_name = "URL", env = "PROXY_STORAGE")]
    storage: Option<String>,
    /// Admin socket of the running proxy [default: `admin.sock` in the data directory]
    #[arg(long, value_name = "PATH", env = "PROXY_ADMIN")]
    admin: Option<OsString>,
    /// Proxyfile that names the data directory and the admin socket [default: ./Proxyfile, then /etc/proxy/Proxyfile]
    #[arg(long, value_name = "FILE", env = "PROXY_CONFIG")]
    config: Option<OsString>,
}

/// The flags that name the CA while no proxy runs.
#[derive(Debug, clap::Args)]
pub(super) struct CaFlags {
    /// CA to use if no proxy is running and no Proxyfile names one; see `proxy run --help` [default: letsencrypt]
    #[arg(long, value_name = "URL", env = "PROXY_ACME_DIRECTORY")]
    acme_directory: Option<String>,
    /// PEM file with an extra root certificate for HTTPS requests to the CA
    #[arg(long, value_name = "FILE", env = "PROXY_ACME_ROOT")]
    acme_root: Option<OsString>,
    /// Contact email address of the account
    #[arg(long, value_name = "ADDR", env = "PROXY_EMAIL")]
    email: Option<String>,
}

impl TargetFlags {
    /// Loads the configuration. With `--storage`, the default paths are not searched for a Proxyfile.
    pub(in crate::cli) fn load(self) -> Result<Config, Error> {
        self.load_with(Flags::default())
    }

    fn load_with(self, flags: Flags) -> Result<Config, Error> {
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

    /// Loads the configuration, with these flags for the CA.
    pub(super) fn load_with_ca(self, ca: CaFlags) -> Result<Config, Error> {
        let given = |value: Option<String>| value.filter(|text| !text.is_empty());
        self.load_with(Flags {
            acme_directory: given(ca.acme_directory),
            acme_root: given_path(ca.acme_root),
            email: given(ca.email),
            ..Flags::default()
        })
    }

    /// Opens the target for reports.
    pub(super) async fn open(self) -> Result<Target, Error> {
        Target::find(&self.load()?, app::open_operations).await
    }

    /// Opens the target for commands that need the CA.
    pub(super) async fn open_with_ca(self, ca: CaFlags) -> Result<Target, Error> {
        Target::find(&self.load_with_ca(ca)?, app::open_revocation).await
    }

    /// Connects to the running proxy. Fails if none runs.
    pub(in crate::cli) async fn running(self) -> Result<Client, Error> {
        let has_socket = self.admin.as_ref().is_some_and(|path| !path.is_empty());
        let config = self.load()?;
        let socket = config.admin_path();
        let client = Client::find(&socket).await?;
        client.ok_or_else(|| {
            if has_socket {
                Error::NoAnswer(socket)
            } else {
                Error::NotRunning(config.storage.directory().to_owned())
            }
        })
    }
}

/// The way to the target.
#[derive(Debug)]
enum Access {
    Running(Client),
    Stored(Operations),
}

/// A running proxy, or its storage.
#[derive(Debug)]
pub(super) struct Target {
    access: Access,
    directory: PathBuf,
    socket: PathBuf,
}

impl Target {
    /// Finds the running proxy, or opens its storage if none runs.
    async fn find(
        config: &Config,
        open: fn(&Config) -> Result<Operations, app::Error>,
    ) -> Result<Self, Error> {
        let socket = config.admin_path();
        let access = match Client::find(&socket).await? {
            Some(client) => Access::Running(client),
            None => Access::Stored(open(config)?),
        };
        Ok(Self {
            access,
            directory: config.storage.directory().to_owned(),
            socket,
        })
    }

    pub(super) async fn page(&self, after: Option<&str>, limit: usize) -> Result<Page, Error> {
        Ok(match &self.access {
            Access::Running(client) => client.page(after, limit).await?,
            Access::Stored(operations) => operations.page(after, limit).await?,
        })
    }

    pub(super) async fn report(&self, name: &str) -> Result<Report, Error> {
        Ok(match &self.access {
            Access::Running(client) => client.report(name).await?,
            Access::Stored(operations) => operations.report(name).await?,
        })
    }

    pub(super) async fn revoke(&self, name: &str, reason: &str) -> Result<Done, Error> {
        Ok(match &self.access {
            Access::Running(client) => client.revoke(name, reason).await?,
            Access::Stored(operations) => operations.revoke(name, reason).await?,
        })
    }

    pub(super) async fn roll_account_keys(&self) -> Result<Done, Error> {
        Ok(match &self.access {
            Access::Running(client) => client.roll_account_keys().await?,
            Access::Stored(operations) => operations.roll_account_keys().await?,
        })
    }

    /// `true` if the answers come from a running proxy.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.access, Access::Running(_))
    }

    /// Says in one sentence where the answers come from.
    pub(super) fn source(&self) -> String {
        let (socket, directory) = (self.socket.display(), self.directory.display());
        if self.is_live() {
            format!("from the running proxy on {socket}")
        } else {
            format!("from {directory}; no proxy listens on {socket}")
        }
    }
}
