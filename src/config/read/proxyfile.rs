//! The Proxyfile: TOML, read table by table, with every problem noted where it stands.

use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use crate::config::check::check_restart_only;
use crate::config::model::Config;
use crate::config::report::{Origin, Problem, Report};
use crate::config::value::{
    StorageUrl, TomlSection, TomlTable, TomlValue, parse_count, parse_email, parse_format,
    parse_head_size, parse_level, parse_resolver, read_duration, read_own_listen,
};

use super::access_log;
use super::client_tls;
use super::issuers;
use super::listen;
use super::site_features;
use super::sites;
use super::upstreams::read_upstreams;

/// A Proxyfile that is read in two steps: the settings, then, when the flags have been laid over them, the sites.
pub(crate) struct Proxyfile<'t> {
    table: TomlTable<'t>,
    folder: &'t Path,
}

impl<'t> Proxyfile<'t> {
    pub(crate) fn new(document: &'t Spanned<DeTable<'t>>, path: &'t Path) -> Self {
        Self {
            table: TomlTable::new(document.get_ref(), document.span()),
            folder: path.parent().unwrap_or_else(|| Path::new("")),
        }
    }

    /// Reads all but the sites. Returns whether storage was named.
    pub(crate) fn read_settings(&mut self, config: &mut Config, report: &mut Report<'_>) -> bool {
        read_settings(&mut self.table, self.folder, config, report)
    }

    /// Reads the sites. They may name the `issuers` of the file, also where a flag replaces them.
    pub(crate) fn read_sites(
        &mut self,
        issuers: &[String],
        config: &mut Config,
        report: &mut Report<'_>,
    ) {
        if let Some(shared) = config.shared_port() {
            let offset = self
                .table
                .value("listen")
                .map_or(0, |listen| listen.start());
            report.at(offset, Problem::SharedPort(shared));
        }
        if let Some(shared) = config.shared_metrics() {
            let problem = Problem::SharedMetrics(shared);
            match self.table.peek("metrics") {
                Some(value) => report.at(value.start(), problem),
                None => report.flag("--metrics", problem),
            }
        }
        let sites = self.table.value("sites");
        config.sites = sites::read(sites, (self.folder, issuers), config, report);
    }

    /// Reports what is wrong with the file as a whole: keys that nobody knows, and what cannot change under `running`.
    pub(crate) fn finish(self, config: &Config, running: Option<&Config>, report: &mut Report<'_>) {
        if let Some(running) = running {
            check_restart_only(&self.table, (config, running), report);
        }
        self.table.finish(report);
    }
}

/// Reads all but the sites. Says whether storage was named.
fn read_settings(
    table: &mut TomlTable<'_>,
    folder: &Path,
    config: &mut Config,
    report: &mut Report<'_>,
) -> bool {
    if let Some(email) = table.read("email", report, |value| parse_email(value.string()?)) {
        config.email = Some(email);
        config.origins.set("email", Origin::File);
    }
    let storage = table.read("storage", report, |value| {
        StorageUrl::parse(value.string()?)
    });
    let has_storage = storage.is_some();
    if let Some(storage) = storage {
        config.storage = storage.within(folder);
        config.origins.set("storage", Origin::File);
    }
    if let Some(admin) = table.read("admin", report, |value| Ok(folder.join(value.string()?))) {
        config.admin = Some(admin);
        config.origins.set("admin", Origin::File);
    }
    if let Some(address) = table.read("metrics", report, read_own_listen) {
        config.metrics = Some(address);
        config.origins.set("metrics", Origin::File);
    }
    issuers::read(table, folder, config, report);
    read_preflight(table, config, report);
    read_resolvers(table, config, report);
    issuers::read_internal_ca(table, folder, config, report);
    listen::read_trust(table, config, report);
    client_tls::read_shared_min_tls(table, config, report);
    listen::read(table, config, report);
    read_limits(table, config, report);
    if let Some(section) = table.read("upstreams", report, TomlValue::table) {
        read_upstreams(
            (section, folder),
            (&mut config.upstreams, &mut config.origins),
            report,
        );
    }
    read_log(table, config, report);
    if let Some(access_log) = access_log::read(table, folder, report) {
        config.access_log = Some(access_log);
        config.origins.set("access-log", Origin::File);
    }
    config.features = site_features::read_shared(table, folder, report);
    has_storage
}

fn read_preflight(table: &mut TomlTable<'_>, config: &mut Config, report: &mut Report<'_>) {
    if let Some(is_on) = table.read("preflight", report, TomlValue::boolean) {
        config.preflight.is_on = is_on;
        config.origins.set("preflight", Origin::File);
    }
}

fn read_resolvers(table: &mut TomlTable<'_>, config: &mut Config, report: &mut Report<'_>) {
    let expected = "a list of DNS servers, as in `[\"system\"]`";
    let Some(list) = table.read("resolvers", report, |value| match value.list(expected)? {
        list if list.is_empty() => Err(Problem::NoResolver),
        list => Ok(list),
    }) else {
        return;
    };
    let mut servers = Vec::with_capacity(list.len());
    for value in list {
        match value.string().and_then(parse_resolver) {
            Ok(server) => servers.push(server),
            Err(problem) => report.at(value.start(), problem),
        }
    }
    config.resolver.servers = servers;
    config.origins.set("resolvers", Origin::File);
}

fn read_limits(table: &mut TomlTable<'_>, config: &mut Config, report: &mut Report<'_>) {
    let Some(mut table) = table.read("limits", report, TomlValue::table) else {
        return;
    };
    let origins = &mut config.origins;
    let mut section = TomlSection {
        table: &mut table,
        origins,
    };
    let limits = &mut config.limits;
    section.set(
        ("limits.handshake-timeout", &mut limits.handshake_timeout),
        report,
        read_duration,
    );
    section.set(
        ("limits.header-timeout", &mut limits.header_timeout),
        report,
        read_duration,
    );
    section.set(
        ("limits.idle-timeout", &mut limits.idle_timeout),
        report,
        read_duration,
    );
    section.set(
        ("limits.body-timeout", &mut limits.body_timeout),
        report,
        read_duration,
    );
    section.set(
        ("limits.drain-timeout", &mut limits.drain_timeout),
        report,
        read_duration,
    );
    let count = |value: &TomlValue<'_>| parse_count(&value.text("a count, as in `100`")?);
    section.set(
        ("limits.head-size", &mut limits.head_size),
        report,
        |value| parse_head_size(&value.text("a size, as in `\"32k\"`")?),
    );
    section.set(
        ("limits.head-fields", &mut limits.head_fields),
        report,
        |value| count(value).map(usize::from),
    );
    section.set(("limits.streams", &mut limits.streams), report, |value| {
        count(value).map(u32::from)
    });
    section.set(
        (
            "limits.connections-per-client",
            &mut limits.connections_per_client,
        ),
        report,
        |value| count(value).map(Some),
    );
    table.finish(report);
}

fn read_log(table: &mut TomlTable<'_>, config: &mut Config, report: &mut Report<'_>) {
    let Some(mut table) = table.read("log", report, TomlValue::table) else {
        return;
    };
    let origins = &mut config.origins;
    let mut section = TomlSection {
        table: &mut table,
        origins,
    };
    section.set(("log.level", &mut config.log.level), report, |value| {
        parse_level(value.string()?)
    });
    section.set(("log.format", &mut config.log.format), report, |value| {
        parse_format(value.string()?)
    });
    table.finish(report);
}
