//! How a `Config` comes to be: from a Proxyfile under flags, or from flags alone.

use std::path::Path;

use crate::config::model::{Config, Flags};
use crate::config::read::Proxyfile;
use crate::config::report::{Error, Location, Problem, Report, note_toml_errors};
use crate::config::value::{INTERNAL, ProcessEnvironment, StorageUrl};
use toml::de::DeTable;

use super::overrides::Overrides;
use super::quick;

/// The text of a Proxyfile and where it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProxyfileText<'t> {
    pub(crate) path: &'t Path,
    pub(crate) text: &'t str,
}

impl Config {
    /// Reads a Proxyfile's text; flags win over it. Relative paths in it start at its folder. All problems of the file
    /// and the flags come back together.
    pub fn from_proxyfile(path: &Path, text: &str, flags: &Flags) -> Result<Self, Error> {
        Self::load(ProxyfileText { path, text }, flags, None)
    }

    /// Makes the configuration from flags alone: one site per domain, and all names where an ask endpoint gates them.
    pub fn from_quick(flags: &Flags) -> Result<Self, Error> {
        let mut report = Report::new(Path::new(""), "");
        let mut config = Self::from_flags(flags, &mut report);
        config.sites = quick::read_sites(flags, &config, &mut report);
        finish(config, report)
    }

    /// The settings without any site, for commands on what lies in storage.
    pub fn without_sites(flags: &Flags) -> Result<Self, Error> {
        let mut report = Report::new(Path::new(""), "");
        let config = Self::from_flags(flags, &mut report);
        finish(config, report)
    }

    /// Reads a Proxyfile. Under a proxy that runs with `running`, a setting that only a restart can change is a problem.
    pub(crate) fn load(
        source: ProxyfileText<'_>,
        flags: &Flags,
        running: Option<&Self>,
    ) -> Result<Self, Error> {
        let mut report = Report::new(source.path, source.text);
        let overrides = Overrides::read(flags, &mut report);
        let mut config = Self::with_defaults();
        let (document, errors) = DeTable::parse_recoverable(source.text);
        if note_toml_errors(errors, &mut report) {
            let file = Proxyfile::new(&document, source.path);
            let has_storage = file.read_settings(&mut config, &mut report);
            let issuers = config.issuer_names();
            if !overrides.apply(&mut config) && !has_storage {
                config.use_default_storage(&mut report);
            }
            file.read_sites(&issuers, &mut config, &mut report);
            file.finish(&config, running, &mut report);
        }
        finish(config, report)
    }

    fn from_flags(flags: &Flags, report: &mut Report<'_>) -> Self {
        let mut config = Self::with_defaults();
        if !Overrides::read(flags, report).apply(&mut config) {
            config.use_default_storage(report);
        }
        config
    }

    fn use_default_storage(&mut self, report: &mut Report<'_>) {
        match ProcessEnvironment::of_process().data_directory() {
            Some(directory) => self.storage = StorageUrl::File(directory),
            None => report.add(Location::CommandLine, Problem::NoDataDirectory),
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
    // A directory that a flag names is the only one, and every site's.
    let issuers = &config.issuers;
    for site in &mut config.sites {
        let is_known =
            |name: &String| name == INTERNAL || issuers.iter().any(|issuer| issuer.name == *name);
        site.issuer = site.issuer.take().filter(is_known);
    }
    Ok(config)
}
