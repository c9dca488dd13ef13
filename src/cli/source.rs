//! The flags of `proxy run`, the environment variables beside them, and the configuration that they lead to.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;

use super::failure::CommandError;
use crate::config::{self, Config, ConfigFile, Flags, SecretText};

/// Default paths of the Proxyfile.
const DEFAULT_PATHS: [&str; 2] = ["Proxyfile", "/etc/proxy/Proxyfile"];

/// Reasons why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(
        "There is nothing to run yet. Three ways to start:

  proxy demo                                                   try it with a built-in app
  proxy --upstream localhost:3000 --domain www.example.org     put HTTPS in front of one app
  proxy run --config Proxyfile                                 run with a configuration file

Without --config, the proxy looks for ./Proxyfile and /etc/proxy/Proxyfile. `proxy --help` shows all flags."
    )]
    Nothing,
}

impl CommandError for Error {
    fn is_usage(&self) -> bool {
        true
    }
}

/// The flags that name a Proxyfile or sites.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// Proxyfile to read [default: ./Proxyfile, then /etc/proxy/Proxyfile]
    #[arg(long, value_name = "FILE", env = "PROXY_CONFIG")]
    #[arg(conflicts_with_all = ["upstream", "domain", "on_demand_ask"])]
    config: Option<OsString>,
    #[command(flatten)]
    quick: QuickFlags,
    #[command(flatten)]
    overrides: OverrideFlags,
}

/// The flags that name sites without a Proxyfile.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sites without a Proxyfile")]
struct QuickFlags {
    /// Backend, such as `localhost:3000`; repeat to balance between several
    #[arg(
        long,
        value_name = "ADDR",
        env = "PROXY_UPSTREAM",
        value_delimiter = ','
    )]
    upstream: Vec<String>,
    /// Host name to serve; repeatable
    #[arg(long, value_name = "NAME", env = "PROXY_DOMAIN", value_delimiter = ',')]
    domain: Vec<String>,
    /// Serve any name for which `URL?domain=NAME` answers 200
    #[arg(long, value_name = "URL", env = "PROXY_ON_DEMAND_ASK")]
    on_demand_ask: Option<String>,
}

/// The flags that override the Proxyfile.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Settings that override the Proxyfile")]
struct OverrideFlags {
    /// Contact email address for the CA
    #[arg(long, value_name = "ADDR", env = "PROXY_EMAIL")]
    email: Option<String>,
    /// CA: `letsencrypt`, `letsencrypt-staging`, `zerossl`, `google`, `buypass` or the https URL of an ACME directory [default: letsencrypt]
    #[arg(long, value_name = "URL", env = "PROXY_ACME_DIRECTORY")]
    acme_directory: Option<String>,
    /// Use Let's Encrypt's staging CA, whose certificates browsers do not trust
    #[arg(long, env = "PROXY_STAGING", value_parser = FalseyValueParser::new())]
    staging: bool,
    /// PEM file with an extra root certificate for HTTPS requests to the CA
    #[arg(long, value_name = "FILE", env = "PROXY_ACME_ROOT")]
    acme_root: Option<OsString>,
    /// Order certificates without checking DNS and port 80 first
    #[arg(long, env = "PROXY_NO_PREFLIGHT", value_parser = FalseyValueParser::new())]
    no_preflight: bool,
    /// Key ID of the external account binding (EAB)
    #[arg(long, value_name = "ID", env = "PROXY_EAB_KEY_ID")]
    eab_key_id: Option<String>,
    /// HMAC key of the external account binding in base64url, preferably as `env:NAME` or `file:PATH`
    #[arg(
        long,
        value_name = "KEY",
        env = "PROXY_EAB_HMAC_KEY",
        hide_env_values = true
    )]
    eab_hmac_key: Option<SecretText>,
    /// Address for plain HTTP: challenges, and redirects to HTTPS; repeatable, also as `NAME=ADDR` [default: `[::]:80`]
    #[arg(
        long,
        value_name = "ADDR",
        env = "PROXY_LISTEN_HTTP",
        value_delimiter = ','
    )]
    listen_http: Vec<String>,
    /// Address for HTTPS; repeatable, also as `NAME=ADDR` [default: `[::]:443`]
    #[arg(
        long,
        value_name = "ADDR",
        env = "PROXY_LISTEN_HTTPS",
        value_delimiter = ','
    )]
    listen_https: Vec<String>,
    /// Data directory for certificates and keys, such as `file:/var/lib/proxy` [default: $STATE_DIRECTORY, else /var/lib/proxy for root, else `proxy` in the user's data directory]
    #[arg(long, value_name = "URL", env = "PROXY_STORAGE")]
    storage: Option<String>,
    /// Unix socket for `proxy status` and `proxy certs` [default: `admin.sock` in the data directory]
    #[arg(long, value_name = "PATH", env = "PROXY_ADMIN")]
    admin: Option<OsString>,
    /// Address to serve Prometheus metrics on, without authentication [default: none]
    #[arg(long, value_name = "ADDR", env = "PROXY_METRICS")]
    metrics: Option<String>,
    /// File of the access log, or `-` for standard output [default: none]
    #[arg(long, value_name = "FILE", env = "PROXY_ACCESS_LOG")]
    access_log: Option<String>,
    /// Log level: `error`, `warn`, `info`, `debug` or `trace` [default: info]
    #[arg(long, value_name = "LEVEL", env = "PROXY_LOG_LEVEL")]
    log_level: Option<String>,
    /// Log format: `text` or `json` [default: text]
    #[arg(long, value_name = "FORMAT", env = "PROXY_LOG_FORMAT")]
    log_format: Option<String>,
}

/// A loaded configuration.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The configuration.
    pub(super) config: Config,
    /// The file that it came from, if there is one.
    pub(super) file: Option<ConfigFile>,
}

impl Source {
    /// Loads the configuration that the flags name.
    pub(super) fn load(self) -> Result<Loaded, Error> {
        let path = given_path(self.config.clone());
        let flags = self.into_flags();
        if flags.name_sites() {
            let config = Config::from_quick(&flags)?;
            return Ok(Loaded { config, file: None });
        }
        let path = path.or_else(find_file).ok_or(Error::Nothing)?;
        let file = ConfigFile::new(path, flags);
        Ok(Loaded {
            config: file.read()?,
            file: Some(file),
        })
    }

    /// Ignores empty values: compose files and unit files use them to leave a variable out.
    fn into_flags(self) -> Flags {
        let (quick, overrides) = (self.quick, self.overrides);
        let given = |value: Option<String>| value.filter(|text| !text.is_empty());
        let all_given = |values: Vec<String>| values.into_iter().filter(|text| !text.is_empty());
        Flags {
            upstream: all_given(quick.upstream).collect(),
            domain: all_given(quick.domain).collect(),
            on_demand_ask: given(quick.on_demand_ask),
            email: given(overrides.email),
            acme_directory: given(overrides.acme_directory),
            staging: overrides.staging,
            acme_root: given_path(overrides.acme_root),
            no_preflight: overrides.no_preflight,
            eab_key_id: given(overrides.eab_key_id),
            eab_hmac_key: overrides
                .eab_hmac_key
                .filter(|text| !text.as_str().is_empty()),
            listen_http: all_given(overrides.listen_http).collect(),
            listen_https: all_given(overrides.listen_https).collect(),
            storage: given(overrides.storage),
            admin: given_path(overrides.admin),
            metrics: given(overrides.metrics),
            access_log: given(overrides.access_log),
            log_level: given(overrides.log_level),
            log_format: given(overrides.log_format),
        }
    }
}

/// Returns a path that was given and is not empty.
pub(super) fn given_path(value: Option<OsString>) -> Option<PathBuf> {
    value.filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Returns the first default path with a Proxyfile.
pub(super) fn find_file() -> Option<PathBuf> {
    DEFAULT_PATHS
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
}
