//! The Proxyfile: TOML, read table by table, with every problem noted where it stands.

use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use crate::upstream::{self, SendProxy};

use super::balance;
use super::certificates;
use super::diagnostic::Report;
use super::issuer::parse_email;
use super::issuers;
use super::log::{parse_format, parse_level};
use super::origin::{Origin, Origins};
use super::overrides::Overrides;
use super::problem::Problem;
use super::resolvers::parse_resolver;
use super::section::Section;
use super::settings::Config;
use super::storage_url::StorageUrl;
use super::table::{Table, Value};
use super::units::{parse_count, parse_duration, parse_head_size};
use super::{access_log, comforts, lasting, listen, min_tls, sites, syntax, trust, upstream_tls};

/// Reads a whole file, in the place of what a proxy runs with if one does; the result stands only if nothing was noted.
pub(super) fn read(
    (path, text): (&Path, &str),
    overrides: Overrides,
    running: Option<&Config>,
    report: &mut Report<'_>,
) -> Config {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut config = Config::with_defaults();
    if !syntax::note(errors, report) {
        return config;
    }
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let mut table = Table::new(document.get_ref(), document.span());
    let has_storage = read_globals(&mut table, folder, &mut config, report);
    let names: Vec<_> = config
        .issuers
        .iter()
        .map(|issuer| issuer.name.clone())
        .collect();
    if !overrides.apply(&mut config) && !has_storage {
        config.use_default_storage(report);
    }
    if let Some(shared) = config.shared_port() {
        let offset = table.value("listen").map_or(0, |listen| listen.start());
        report.at(offset, Problem::SharedPort(shared));
    }
    if let Some(shared) = config.shared_metrics() {
        let problem = Problem::SharedMetrics(shared);
        match table.peek("metrics") {
            Some(value) => report.at(value.start(), problem),
            None => report.flag("--metrics", problem),
        }
    }
    config.sites = sites::read(table.value("sites"), (folder, &names), &config, report);
    if let Some(running) = running {
        lasting::check(&table, (&config, running), report);
    }
    table.finish(report);
    config
}

/// Reads all but the sites. Says whether storage was named.
fn read_globals(
    table: &mut Table<'_>,
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
    if let Some(address) = table.read("metrics", report, listen::parse_own_address) {
        config.metrics = Some(address);
        config.origins.set("metrics", Origin::File);
    }
    issuers::read(table, folder, config, report);
    read_preflight(table, config, report);
    read_resolvers(table, config, report);
    certificates::read(table, folder, config, report);
    trust::read(table, config, report);
    min_tls::read_shared(table, config, report);
    listen::read(table, config, report);
    read_limits(table, config, report);
    if let Some(section) = table.read("upstreams", report, Value::table) {
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
    config.features = comforts::read_shared(table, folder, report);
    has_storage
}

fn read_preflight(table: &mut Table<'_>, config: &mut Config, report: &mut Report<'_>) {
    if let Some(is_on) = table.read("preflight", report, Value::boolean) {
        config.preflight.is_on = is_on;
        config.origins.set("preflight", Origin::File);
    }
}

fn read_resolvers(table: &mut Table<'_>, config: &mut Config, report: &mut Report<'_>) {
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

pub(super) fn duration(value: &Value<'_>) -> Result<Duration, Problem> {
    match value.node().as_str() {
        Some(text) => parse_duration(text),
        None => Err(value.mismatch("a duration, as in `\"30s\"`")),
    }
}

fn read_limits(table: &mut Table<'_>, config: &mut Config, report: &mut Report<'_>) {
    let Some(mut table) = table.read("limits", report, Value::table) else {
        return;
    };
    let origins = &mut config.origins;
    let mut section = Section {
        table: &mut table,
        origins,
    };
    let limits = &mut config.limits;
    section.set(
        ("limits.handshake-timeout", &mut limits.handshake_timeout),
        report,
        duration,
    );
    section.set(
        ("limits.header-timeout", &mut limits.header_timeout),
        report,
        duration,
    );
    section.set(
        ("limits.idle-timeout", &mut limits.idle_timeout),
        report,
        duration,
    );
    section.set(
        ("limits.body-timeout", &mut limits.body_timeout),
        report,
        duration,
    );
    section.set(
        ("limits.drain-timeout", &mut limits.drain_timeout),
        report,
        duration,
    );
    let count = |value: &Value<'_>| parse_count(&value.text("a count, as in `100`")?);
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

/// Reads upstream options over those that are there.
pub(super) fn read_upstreams(
    (mut table, folder): (Table<'_>, &Path),
    (options, origins): (&mut upstream::Options, &mut Origins),
    report: &mut Report<'_>,
) {
    let mut section = Section {
        table: &mut table,
        origins,
    };
    section.set(
        ("upstreams.connect-timeout", &mut options.connect_timeout),
        report,
        duration,
    );
    section.set(
        ("upstreams.response-timeout", &mut options.response_timeout),
        report,
        duration,
    );
    section.set(
        ("upstreams.idle-timeout", &mut options.idle_timeout),
        report,
        duration,
    );
    if let Some(table) = section.table.read("tls", report, Value::table) {
        options.tls = upstream_tls::read(table, folder, report);
        section.origins.set("upstreams.tls", Origin::File);
    }
    section.set(
        ("upstreams.send-proxy", &mut options.send_proxy),
        report,
        |value| parse_send_proxy(value.string()?),
    );
    balance::read_options((&mut section, folder), &mut options.balancing, report);
    table.finish(report);
}

fn parse_send_proxy(text: &str) -> Result<Option<SendProxy>, Problem> {
    match text {
        "off" => Ok(None),
        "v1" => Ok(Some(SendProxy::V1)),
        "v2" => Ok(Some(SendProxy::V2)),
        _ => Err(Problem::SendProxy(text.to_owned())),
    }
}

fn read_log(table: &mut Table<'_>, config: &mut Config, report: &mut Report<'_>) {
    let Some(mut table) = table.read("log", report, Value::table) else {
        return;
    };
    let origins = &mut config.origins;
    let mut section = Section {
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
