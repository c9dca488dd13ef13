//! The flags that say what to run, and the way from them to a configuration.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;

use crate::config::{self, Config, ConfigFile, Flags, SecretText};

const PLACES: [&str; 2] = ["Proxyfile", "/etc/proxy/Proxyfile"];

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(
        "There is nothing to run yet. Three ways to start:

  proxy demo                                                   try it here and now
  proxy --upstream localhost:3000 --domain www.example.org     put HTTPS in front of one app
  proxy run --config Proxyfile                                 run what a file says

Without --config, ./Proxyfile and /etc/proxy/Proxyfile are looked for. `proxy --help` shows all flags."
    )]
    Nothing,
}

/// What to run: a file, or sites named by flags.
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

/// The flags that name sites, so that no file is needed.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sites without a file")]
struct QuickFlags {
    /// Where requests go, as in `localhost:3000`; repeat to balance
    #[arg(
        long,
        value_name = "ADDR",
        env = "PROXY_UPSTREAM",
        value_delimiter = ','
    )]
    upstream: Vec<String>,
    /// A host name to serve; repeatable
    #[arg(long, value_name = "NAME", env = "PROXY_DOMAIN", value_delimiter = ',')]
    domain: Vec<String>,
    /// Serve any name that this URL answers 200 for, asked as `URL?domain=NAME`
    #[arg(long, value_name = "URL", env = "PROXY_ON_DEMAND_ASK")]
    on_demand_ask: Option<String>,
}

/// The flags that win over the file.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Settings, which win over the file")]
struct OverrideFlags {
    /// Contact for the CA
    #[arg(long, value_name = "ADDR", env = "PROXY_EMAIL")]
    email: Option<String>,
    /// The CA: `letsencrypt`, `letsencrypt-staging`, `zerossl`, `google`, `buypass` or the https URL of an ACME directory [default: letsencrypt]
    #[arg(long, value_name = "URL", env = "PROXY_ACME_DIRECTORY")]
    acme_directory: Option<String>,
    /// Use Let's Encrypt's staging CA, whose certificates browsers do not trust
    #[arg(long, env = "PROXY_STAGING", value_parser = FalseyValueParser::new())]
    staging: bool,
    /// PEM file with an extra root for the CA's own HTTPS
    #[arg(long, value_name = "FILE", env = "PROXY_ACME_ROOT")]
    acme_root: Option<OsString>,
    /// Order certificates without a look at DNS and port 80 before
    #[arg(long, env = "PROXY_NO_PREFLIGHT", value_parser = FalseyValueParser::new())]
    no_preflight: bool,
    /// The CA's name for the credentials that bind the account (EAB)
    #[arg(long, value_name = "ID", env = "PROXY_EAB_KEY_ID")]
    eab_key_id: Option<String>,
    /// Their key in base64url, better as `env:NAME` or `file:PATH`
    #[arg(
        long,
        value_name = "KEY",
        env = "PROXY_EAB_HMAC_KEY",
        hide_env_values = true
    )]
    eab_hmac_key: Option<SecretText>,
    /// Where challenges are answered and plain HTTP is redirected [default: `[::]:80`]
    #[arg(long, value_name = "ADDR", env = "PROXY_LISTEN_HTTP")]
    listen_http: Option<String>,
    /// Where HTTPS is served [default: `[::]:443`]
    #[arg(long, value_name = "ADDR", env = "PROXY_LISTEN_HTTPS")]
    listen_https: Option<String>,
    /// Where certificates are kept, as in `file:/var/lib/proxy`
    #[arg(long, value_name = "URL", env = "PROXY_STORAGE")]
    storage: Option<String>,
    /// Unix socket for status and control [default: `admin.sock` in the data directory]
    #[arg(long, value_name = "PATH", env = "PROXY_ADMIN")]
    admin: Option<OsString>,
    /// Where `/metrics` is served for Prometheus, to whoever can connect [default: nowhere]
    #[arg(long, value_name = "ADDR", env = "PROXY_METRICS")]
    metrics: Option<String>,
    /// File with a line for each request, or `-` for standard output [default: none]
    #[arg(long, value_name = "FILE", env = "PROXY_ACCESS_LOG")]
    access_log: Option<String>,
    /// `error`, `warn`, `info`, `debug` or `trace` [default: info]
    #[arg(long, value_name = "LEVEL", env = "PROXY_LOG_LEVEL")]
    log_level: Option<String>,
    /// `text` or `json` [default: text]
    #[arg(long, value_name = "FORMAT", env = "PROXY_LOG_FORMAT")]
    log_format: Option<String>,
}

/// What `Source::load` found.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The configuration.
    pub(super) config: Config,
    /// The file it came from, if any.
    pub(super) file: Option<ConfigFile>,
}

impl Source {
    /// Reads the configuration that the flags name.
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

    /// An empty value counts as none: that is how compose files and unit files leave a variable out.
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
            listen_http: given(overrides.listen_http),
            listen_https: given(overrides.listen_https),
            storage: given(overrides.storage),
            admin: given_path(overrides.admin),
            metrics: given(overrides.metrics),
            access_log: given(overrides.access_log),
            log_level: given(overrides.log_level),
            log_format: given(overrides.log_format),
        }
    }
}

pub(super) fn given_path(value: Option<OsString>) -> Option<PathBuf> {
    value.filter(|path| !path.is_empty()).map(PathBuf::from)
}

pub(super) fn find_file() -> Option<PathBuf> {
    PLACES.iter().map(PathBuf::from).find(|path| path.exists())
}
