//! The flags that win over the file, read into types.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tracing::Level;

use crate::acme::ExternalAccount;
use crate::config::fields::parse_target;
use crate::config::model::{Config, Flags};
use crate::config::report::{Location, Origin, Problem, Report};
use crate::config::value::{
    Directory, LOG_FORMATS, LOG_LEVELS, LogFormat, StorageUrl, choose, external_account,
    parse_email, parse_listen, parse_own_listen, read_secret,
};
use crate::proxy::{AccessLogOptions, AccessLogTarget};

/// The flags that win over the file.
#[derive(Debug)]
pub(crate) struct Overrides {
    email: Option<String>,
    directory: Option<Directory>,
    external_account: Option<ExternalAccount>,
    root: Option<PathBuf>,
    no_preflight: bool,
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    storage: Option<StorageUrl>,
    admin: Option<PathBuf>,
    metrics: Option<SocketAddr>,
    access_log: Option<AccessLogTarget>,
    level: Option<Level>,
    format: Option<LogFormat>,
}

impl Overrides {
    pub(crate) fn read(flags: &Flags, report: &mut Report<'_>) -> Self {
        if flags.staging && flags.acme_directory.is_some() {
            report.add(Location::CommandLine, Problem::StagingAndDirectory);
        }
        let directory = read(
            "--acme-directory",
            &flags.acme_directory,
            Directory::parse,
            report,
        );
        let external_account = read_external_account(flags, report);
        if let Some(directory) = &directory
            && directory.needs_account
            && flags.eab_key_id.is_none()
        {
            let name = directory.name.clone();
            report.flag("--acme-directory", Problem::NeedsExternalAccountFlags(name));
        }
        let staging = flags.staging.then(Directory::staging);
        Self {
            email: read("--email", &flags.email, parse_email, report),
            directory: directory.or(staging),
            external_account,
            root: flags.acme_root.clone(),
            no_preflight: flags.no_preflight,
            http: read("--listen-http", &flags.listen_http, parse_listen, report),
            https: read("--listen-https", &flags.listen_https, parse_listen, report),
            storage: read("--storage", &flags.storage, StorageUrl::parse, report),
            admin: flags.admin.clone(),
            metrics: read("--metrics", &flags.metrics, parse_own_listen, report),
            access_log: read("--access-log", &flags.access_log, parse_target, report),
            level: read("--log-level", &flags.log_level, parse_level, report),
            format: read("--log-format", &flags.log_format, parse_format, report),
        }
    }

    /// Puts the flags over what is there. Says whether storage was among them.
    pub(crate) fn apply(self, config: &mut Config) -> bool {
        if let Some(directory) = self.directory {
            config.origins.set("issuers.directory", Origin::Flag);
            config.issuers = vec![directory.into_issuer()];
        }
        if let (Some(account), Some(issuer)) = (self.external_account, config.issuers.first_mut()) {
            issuer.external_account = Some(account);
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
        replace(&mut config.admin, self.admin.map(Some), || set("admin"));
        replace(&mut config.metrics, self.metrics.map(Some), || {
            set("metrics");
        });
        replace(&mut config.log.level, self.level, || set("log.level"));
        replace(&mut config.log.format, self.format, || set("log.format"));
        has_storage
    }
}

fn read_external_account(flags: &Flags, report: &mut Report<'_>) -> Option<ExternalAccount> {
    let (key_id, text) = match (&flags.eab_key_id, &flags.eab_hmac_key) {
        (Some(key_id), Some(text)) => (key_id, text),
        (None, None) => return None,
        _ => {
            report.add(Location::CommandLine, Problem::HalfExternalAccount);
            return None;
        }
    };
    let secret = read_secret(text.as_str(), Path::new(""));
    match secret.and_then(|secret| external_account(key_id.clone(), &secret)) {
        Ok(account) => Some(account),
        Err(problem) => {
            report.flag("--eab-hmac-key", problem);
            None
        }
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

fn parse_level(text: &str) -> Result<Level, Problem> {
    choose("log.level", text, &LOG_LEVELS)
}

fn parse_format(text: &str) -> Result<LogFormat, Problem> {
    choose("log.format", text, &LOG_FORMATS)
}
