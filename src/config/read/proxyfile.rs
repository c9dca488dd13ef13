//! The Proxyfile: TOML, read table by table, with every problem noted where it stands.

use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use crate::config::check::check_restart_only;
use crate::config::fields::{self, TableReader};
use crate::config::model::{Config, settings};
use crate::config::report::{Origin, Problem, Report};
use crate::config::value::TomlTable;
use crate::proxy::{AccessLogOptions, AccessLogTarget};

use super::{issuers, listen, sites};

/// The tables whose values go on record with who set them.
const SECTIONS: [&str; 5] = ["internal-ca", "listen", "limits", "upstreams", "log"];

/// A Proxyfile that is read in two steps: the settings, then, when the flags have been laid over them, the sites.
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

    /// Reads all but the sites. Returns whether storage was named.
    pub(crate) fn read_settings(&self, config: &mut Config, report: &mut Report<'_>) -> bool {
        let reader = self.reader();
        reader.read(&settings(), config, report);
        reader.read(&fields::features(), &mut config.features, report);
        issuers::read(reader, config, report);
        listen::read(reader, config, report);
        reader.read_table("limits", &fields::limits(), &mut config.limits, report);
        reader.read_table("log", &fields::log(), &mut config.log, report);
        let options = fields::upstream_options();
        reader.read_table("upstreams", &options, &mut config.upstreams, report);
        if self.table.has("access-log") {
            let access_log = reader.read_key("access-log", fields::access_log(), report);
            // Something stands for one with mistakes, so that sites are not told that there is none.
            let stand_in = || AccessLogOptions::new(AccessLogTarget::Stdout);
            config.access_log = Some(access_log.unwrap_or_else(stand_in));
        }
        self.note_origins(config);
        self.table.has("storage")
    }

    fn note_origins(&self, config: &mut Config) {
        let mut note = |key: &str| config.origins.set(key, Origin::File);
        for (key, _, value) in self.table.entries() {
            match value.table() {
                Ok(table) if SECTIONS.contains(&key) => {
                    let keys = table.entries().into_iter();
                    keys.for_each(|(inner, _, _)| note(&format!("{key}.{inner}")));
                }
                _ => note(key),
            }
        }
    }

    /// Reads the sites. They may name the `issuers` of the file, also where a flag replaces them.
    pub(crate) fn read_sites(
        &self,
        issuers: &[String],
        config: &mut Config,
        report: &mut Report<'_>,
    ) {
        if let Some(shared) = config.shared_port() {
            let listen = self.table.value("listen");
            let offset = listen.map_or(0, |listen| listen.start());
            report.at(offset, Problem::SharedPort(shared));
        }
        if let Some(shared) = config.shared_metrics() {
            let problem = Problem::SharedMetrics(shared);
            match self.table.value("metrics") {
                Some(value) => report.at(value.start(), problem),
                None => report.flag("--metrics", problem),
            }
        }
        let names = sites::SiteNames {
            folder: self.folder,
            issuers,
        };
        config.sites = sites::read(self.table.value("sites"), names, config, report);
    }

    /// Reports what is wrong with the file as a whole: unknown keys, and what cannot change under `running`.
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
