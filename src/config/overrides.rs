//! The flags that win over the file, read into types.

use std::net::SocketAddr;
use std::path::PathBuf;

use tracing::Level;
use url::Url;

use crate::certs::IssuerOptions;
use crate::proxy::{AccessLogOptions, AccessLogTarget};

use super::access_log;
use super::diagnostic::{Place, Report};
use super::flags::Flags;
use super::issuer;
use super::log::{LogFormat, parse_format, parse_level};
use super::origin::Origin;
use super::problem::Problem;
use super::settings::{Config, parse_listen};
use super::storage_url::StorageUrl;

/// The flags that win over the file.
#[derive(Debug)]
pub(super) struct Overrides {
    email: Option<String>,
    directory: Option<Url>,
    root: Option<PathBuf>,
    no_preflight: bool,
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    storage: Option<StorageUrl>,
    access_log: Option<AccessLogTarget>,
    level: Option<Level>,
    format: Option<LogFormat>,
}

impl Overrides {
    pub(super) fn read(flags: &Flags, report: &mut Report<'_>) -> Self {
        if flags.staging && flags.acme_directory.is_some() {
            report.add(Place::CommandLine, Problem::StagingAndDirectory);
        }
        let directory = read(
            "--acme-directory",
            &flags.acme_directory,
            issuer::parse_directory,
            report,
        );
        let staging = flags
            .staging
            .then(|| issuer::known(issuer::LETSENCRYPT_STAGING));
        Self {
            email: read("--email", &flags.email, issuer::parse_email, report),
            directory: directory.or(staging),
            root: flags.acme_root.clone(),
            no_preflight: flags.no_preflight,
            http: read("--listen-http", &flags.listen_http, parse_listen, report),
            https: read("--listen-https", &flags.listen_https, parse_listen, report),
            storage: read("--storage", &flags.storage, StorageUrl::parse, report),
            access_log: read(
                "--access-log",
                &flags.access_log,
                access_log::parse_target,
                report,
            ),
            level: read("--log-level", &flags.log_level, parse_level, report),
            format: read("--log-format", &flags.log_format, parse_format, report),
        }
    }

    /// Puts the flags over what is there. Says whether storage was among them.
    pub(super) fn apply(self, config: &mut Config) -> bool {
        if let Some(directory) = self.directory {
            config.origins.set("issuers.directory", Origin::Flag);
            config.issuers = vec![IssuerOptions {
                directory,
                root: None,
                email: None,
            }];
        }
        if let (Some(root), Some(issuer)) = (self.root, config.issuers.first_mut()) {
            config.origins.set("issuers.root", Origin::Flag);
            issuer.root = Some(root);
        }
        if self.no_preflight {
            config.preflight.is_on = false;
            config.origins.set("preflight", Origin::Flag);
        }
        if let Some(target) = self.access_log {
            config.origins.set("access-log", Origin::Flag);
            match &mut config.access_log {
                Some(options) => options.target = target,
                none => *none = Some(AccessLogOptions::new(target)),
            }
        }
        let has_storage = self.storage.is_some();
        let origins = &mut config.origins;
        let mut set = |key| origins.set(key, Origin::Flag);
        replace(&mut config.email, self.email.map(Some), || set("email"));
        replace(&mut config.listen.http, self.http, || set("listen.http"));
        replace(&mut config.listen.https, self.https, || set("listen.https"));
        replace(&mut config.storage, self.storage, || set("storage"));
        replace(&mut config.log.level, self.level, || set("log.level"));
        replace(&mut config.log.format, self.format, || set("log.format"));
        has_storage
    }
}

fn read<T>(
    flag: &'static str,
    text: &Option<String>,
    parse: fn(&str) -> Result<T, Problem>,
    report: &mut Report<'_>,
) -> Option<T> {
    match parse(text.as_deref()?) {
        Ok(value) => Some(value),
        Err(problem) => {
            report.flag(flag, problem);
            None
        }
    }
}

fn replace<T>(slot: &mut T, value: Option<T>, note: impl FnOnce()) {
    if let Some(value) = value {
        *slot = value;
        note();
    }
}
