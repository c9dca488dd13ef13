//! Loading a `Config`, step by step: settings of the file, flags, then sites.

use std::path::Path;

use crate::config::model::{Config, Flags};
use crate::config::read::Proxyfile;
use crate::config::report::{Error, Report};
use crate::config::toml::report_toml_errors;
use crate::config::value::{INTERNAL, StorageUrl};
use crate::upstream::SystemRoots;
use toml::de::DeTable;

use super::command_line_sites;
use super::flag_overrides::apply_flags;

/// The text of a Proxyfile and its path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProxyfileText<'t> {
    pub(crate) path: &'t Path,
    pub(crate) text: &'t str,
    /// True if problems with the files that it names are reported beside its other problems.
    pub(crate) checks_files: bool,
}

impl Config {
    /// Loads the text of a Proxyfile. Flags override its settings, and relative paths in it are relative to its folder.
    /// The error has all problems of the file and the flags.
    pub fn from_proxyfile(path: &Path, text: &str, flags: &Flags) -> Result<Self, Error> {
        let source = ProxyfileText {
            path,
            text,
            checks_files: false,
        };
        Self::load(source, flags, None)
    }

    /// Loads the configuration from flags alone: one site per domain, and the site `*` if an ask endpoint is set.
    pub fn from_quick(flags: &Flags) -> Result<Self, Error> {
        let mut report = Report::new(Path::new(""), "");
        let mut config = Self::from_flags(flags, &mut report);
        config.sites = command_line_sites::read_sites(flags, &config, &mut report);
        finish(config, report)
    }

    /// Loads the settings without sites, for commands that only need the storage.
    pub fn without_sites(flags: &Flags) -> Result<Self, Error> {
        let mut report = Report::new(Path::new(""), "");
        let config = Self::from_flags(flags, &mut report);
        finish(config, report)
    }

    /// Loads a Proxyfile. If the proxy already runs with `running`, a changed setting that needs a restart is a problem.
    pub(crate) fn load(
        source: ProxyfileText<'_>,
        flags: &Flags,
        running: Option<&Self>,
    ) -> Result<Self, Error> {
        let mut report = Report::new(source.path, source.text);
        let mut config = Self::with_defaults();
        let (document, errors) = DeTable::parse_recoverable(source.text);
        if !report_toml_errors(errors, &mut report) {
            apply_flags(flags, &mut config, &mut report);
            return finish(config, report);
        }
        let file = Proxyfile::new(&document, source.path);
        let has_storage = file.read_settings(&mut config, &mut report);
        let issuers = config.issuer_names();
        if !apply_flags(flags, &mut config, &mut report) && !has_storage {
            config.use_default_storage(&mut report);
        }
        file.read_sites(&issuers, &mut config, &mut report);
        file.finish(&config, running, &mut report);
        config.file_places = report.files().clone();
        if source.checks_files && !report.is_clean() {
            report.extend(config.file_problems(&SystemRoots::default()));
        }
        finish(config, report)
    }

    fn from_flags(flags: &Flags, report: &mut Report<'_>) -> Self {
        let mut config = Self::with_defaults();
        if !apply_flags(flags, &mut config, report) {
            config.use_default_storage(report);
        }
        config
    }

    fn use_default_storage(&mut self, report: &mut Report<'_>) {
        if let Some(storage) = StorageUrl::default_storage(report) {
            self.storage = storage;
        }
    }
}

fn finish(mut config: Config, report: Report<'_>) -> Result<Config, Error> {
    if !report.is_clean() {
        return Err(Error::Invalid(report.into_diagnostics()));
    }
    for issuer in &mut config.issuers {
        issuer.email = issuer.email.take().or_else(|| config.email.clone());
    }
    // A directory set by a flag replaces all issuers, also those that sites select.
    let issuers = &config.issuers;
    for site in &mut config.sites {
        let is_known =
            |name: &String| name == INTERNAL || issuers.iter().any(|issuer| issuer.name == *name);
        site.issuer = site.issuer.take().filter(is_known);
    }
    Ok(config)
}
