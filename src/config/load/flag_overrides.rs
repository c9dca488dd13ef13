//! The flags, which override the settings of the file.

use tracing::Level;

use crate::acme::ExternalAccount;
use crate::config::fields::parse_target;
use crate::config::model::{Config, Flags};
use crate::config::report::{Location, Origin, Problem, Report};
use crate::config::toml::choose;
use crate::config::value::{
    Directory, LOG_FORMATS, LOG_LEVELS, LogFormat, StorageUrl, external_account, parse_email,
    parse_listener, parse_own_listen, read_flag_secret,
};
use crate::proxy::AccessLogOptions;
use crate::server::{ListenOptions, ListenerOptions};

/// Writes the flags over the settings in `config` and reports invalid ones. Returns true if they set the storage.
pub(crate) fn apply_flags(flags: &Flags, config: &mut Config, report: &mut Report<'_>) -> bool {
    apply_issuer(flags, config, report);
    if flags.no_preflight {
        config.preflight.is_on = false;
        config.origins.set("preflight", Origin::Flag);
    }
    if let Some(path) = &flags.admin {
        config.admin = Some(path.clone());
        config.origins.set("admin", Origin::Flag);
    }
    let mut overrides = Overrides { config, report };
    overrides.set(
        "email",
        &flags.email,
        |text| parse_email(text).map(Some),
        |it| &mut it.email,
    );
    overrides.set_listeners("listen.http", &flags.listen_http, |it| &mut it.http);
    overrides.set_listeners("listen.https", &flags.listen_https, |it| &mut it.https);
    let storage = overrides.set("storage", &flags.storage, StorageUrl::parse, |it| {
        &mut it.storage
    });
    overrides.set(
        "metrics",
        &flags.metrics,
        |text| parse_own_listen(text).map(Some),
        |it| &mut it.metrics,
    );
    if let Some(target) = overrides.read("access-log", &flags.access_log, parse_target) {
        match &mut overrides.config.access_log {
            Some(options) => options.target = target,
            none => *none = Some(AccessLogOptions::new(target)),
        }
    }
    overrides.set("log.level", &flags.log_level, parse_level, |it| {
        &mut it.log.level
    });
    overrides.set("log.format", &flags.log_format, parse_format, |it| {
        &mut it.log.format
    });
    storage.is_some()
}

struct Overrides<'a, 'r> {
    config: &'a mut Config,
    report: &'a mut Report<'r>,
}

impl Overrides<'_, '_> {
    /// Parses the flag that is named after `key` and records it as the origin. Returns `None` if the flag is missing or
    /// invalid.
    fn read<T>(
        &mut self,
        key: &str,
        text: &Option<String>,
        parse: fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let flag = format!("--{}", key.replace('.', "-"));
        let value = self.report.accept_flag(&flag, parse(text.as_deref()?))?;
        self.config.origins.set(key, Origin::Flag);
        Some(value)
    }

    /// Reads a flag into a field. Returns `None` if the flag is missing or invalid.
    fn set<T>(
        &mut self,
        key: &str,
        text: &Option<String>,
        parse: fn(&str) -> Result<T, Problem>,
        field: fn(&mut Config) -> &mut T,
    ) -> Option<()> {
        *field(self.config) = self.read(key, text, parse)?;
        Some(())
    }

    /// Reads a repeated flag into the listeners of one kind. A listener uses the PROXY protocol as the one of the file with the
    /// same name does.
    fn set_listeners(
        &mut self,
        key: &str,
        texts: &[String],
        field: fn(&mut ListenOptions) -> &mut Vec<ListenerOptions>,
    ) {
        let mut listeners = Vec::new();
        for text in texts {
            listeners.extend(self.read(key, &Some(text.clone()), parse_listener));
        }
        let slot = field(&mut self.config.listen);
        for listener in &mut listeners {
            let former = slot.iter().find(|former| former.name == listener.name);
            listener.proxy_protocol = former.and_then(|former| former.proxy_protocol);
        }
        if !listeners.is_empty() {
            *slot = listeners;
        }
    }
}

/// Applies the flags about the CA. Those beside the directory apply to the first issuer.
fn apply_issuer(flags: &Flags, config: &mut Config, report: &mut Report<'_>) {
    if flags.staging && flags.acme_directory.is_some() {
        report.add(Location::CommandLine, Problem::StagingAndDirectory);
    }
    let directory = flags
        .acme_directory
        .as_deref()
        .and_then(|text| report.accept_flag("--acme-directory", Directory::parse(text)));
    let account = read_external_account(flags, report);
    if let Some(directory) = &directory
        && directory.needs_account
        && flags.eab_key_id.is_none()
    {
        let name = directory.name.clone();
        report.flag("--acme-directory", Problem::NeedsExternalAccountFlags(name));
    }
    if let Some(directory) = directory.or_else(|| flags.staging.then(Directory::staging)) {
        config.origins.set("issuers.directory", Origin::Flag);
        config.issuers = vec![directory.into_issuer()];
    }
    let Some(issuer) = config.issuers.first_mut() else {
        return;
    };
    if account.is_some() {
        issuer.external_account = account;
    }
    if flags.acme_root.is_some() {
        config.origins.set("issuers.root", Origin::Flag);
        issuer.root = flags.acme_root.clone();
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
    let secret = read_flag_secret(text.as_str());
    let account = secret.and_then(|secret| external_account(key_id.clone(), &secret));
    report.accept_flag("--eab-hmac-key", account)
}

fn parse_level(text: &str) -> Result<Level, Problem> {
    choose("log.level", text, &LOG_LEVELS)
}

fn parse_format(text: &str) -> Result<LogFormat, Problem> {
    choose("log.format", text, &LOG_FORMATS)
}
