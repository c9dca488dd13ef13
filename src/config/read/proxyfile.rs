//! Reads a Proxyfile table by table and reports each problem at its location.

use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use crate::config::check::check_restart_only;
use crate::config::fields::{self, TableReader};
use crate::config::model::{Config, scalar_fields};
use crate::config::report::{Origin, Report};
use crate::config::toml::TomlTable;
use crate::proxy::{AccessLogOptions, AccessLogTarget};

use super::{dns_challenge, issuers, listen, sites};

/// Tables whose keys have an origin each.
const SECTIONS: [&str; 5] = ["internal-ca", "listen", "limits", "upstreams", "log"];

/// A Proxyfile. Read the settings first, then apply the flags, then read the sites, then call `finish`.
pub(crate) struct Proxyfile<'t> {
    table: TomlTable<'t>,
    folder: &'t Path,
}

impl<'t> Proxyfile<'t> {
    pub(crate) fn new(document: &'t Spanned<DeTable<'t>>, path: &'t Path) -> Self {
        Self {
            table: TomlTable::of_document(document),
            folder: path.parent().unwrap_or_else(|| Path::new("")),
        }
    }

    fn reader(&self) -> TableReader<'_, 't> {
        TableReader {
            table: &self.table,
            folder: self.folder,
        }
    }

    /// Reads everything except the sites. Returns true if the storage is set.
    pub(crate) fn read_settings(&self, config: &mut Config, report: &mut Report<'_>) -> bool {
        let reader = self.reader();
        reader.read(&scalar_fields(), config, report);
        reader.read(&fields::features(), &mut config.features, report);
        issuers::read(reader, config, report);
        config.dns = dns_challenge::read(reader, report);
        listen::read(reader, config, report);
        reader.read_table("limits", &fields::limits(), &mut config.limits, report);
        reader.read_table("log", &fields::log(), &mut config.log, report);
        let options = fields::upstream_options();
        reader.read_table("upstreams", &options, &mut config.upstreams, report);
        if self.table.has("access-log") {
            let access_log = reader.read_key("access-log", fields::access_log(), report);
            // An invalid access log still counts as one, so that sites with `access-log = true` are not reported.
            let fallback = || AccessLogOptions::new(AccessLogTarget::Stdout);
            config.access_log = Some(access_log.unwrap_or_else(fallback));
        }
        self.set_origins(config);
        self.table.has("storage")
    }

    fn set_origins(&self, config: &mut Config) {
        let mut set = |key: &str| config.origins.set(key, Origin::File);
        for (key, _, value) in self.table.entries() {
            match value.table() {
                Ok(table) if SECTIONS.contains(&key) => {
                    let keys = table.entries().into_iter();
                    keys.for_each(|(inner, _, _)| set(&format!("{key}.{inner}")));
                }
                _ => set(key),
            }
        }
    }

    /// Reads the sites. They may select the `issuers` of the file even if a flag replaces those.
    pub(crate) fn read_sites(
        &self,
        issuers: &[String],
        config: &mut Config,
        report: &mut Report<'_>,
    ) {
        let listen = self.table.value("listen");
        let offset = listen.map_or(0, |listen| listen.start());
        for problem in config.address_conflicts() {
            report.at(offset, problem.into());
        }
        if let Some(problem) = config.shared_metrics() {
            match self.table.value("metrics") {
                Some(value) => report.at(value.start(), problem.into()),
                None => report.flag("--metrics", problem.into()),
            }
        }
        // A token that cannot be read is reported already.
        let has_bad_token = config.page_token.is_none() && self.table.has("page-token");
        if let Some(problem) = config.page_problem().filter(|_| !has_bad_token) {
            let keys = ["page", "page-token"];
            let value = keys.into_iter().find_map(|key| self.table.value(key));
            let offset = value.map_or(0, |value| value.start());
            report.at(offset, problem.into());
        }
        let context = sites::SiteContext {
            folder: self.folder,
            issuers,
        };
        config.sites = sites::read(self.table.value("sites"), context, config, report);
        // A site with mistakes is not read, and may use any listener.
        if report.is_clean() {
            for problem in config.unused_listeners(config.sites.iter()) {
                report.at(offset, problem.into());
            }
        }
    }

    /// Reports unknown keys, and settings that cannot change while the proxy runs with `running`.
    pub(crate) fn finish(
        &self,
        config: &Config,
        running: Option<&Config>,
        report: &mut Report<'_>,
    ) {
        if let Some(running) = running {
            check_restart_only(&self.table, config, running, report);
        }
        self.table.finish(report);
    }
}
