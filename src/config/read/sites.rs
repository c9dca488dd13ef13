//! Reads `[sites]`: each site alone, then all of them against each other.

use std::path::Path;

use crate::config::check::{PlacedSite, check_together};
use crate::config::fields::http_modes;
use crate::config::keys::{Key, PROXYFILE, SITE};
use crate::config::model::{Config, RouteConfig, SiteAction, SiteConfig, site_scalar_fields};
use crate::config::report::{Problem, Report};
use crate::config::toml::{TomlTable, TomlValue};
use crate::name::HostPattern;
use crate::proxy::PathPrefix;
use crate::tls::ClientAuthMode;

use super::balancing;
use super::guards;
use super::header_changes;
use super::site_certificate::{Names, Sources};
use super::site_features;
use super::site_reader::SiteReader;

/// Context in which sites are read.
#[derive(Clone, Copy)]
pub(crate) struct SiteContext<'a> {
    /// Folder against which relative paths are resolved.
    pub(crate) folder: &'a Path,
    /// Names of the issuers that sites may select.
    pub(crate) issuers: &'a [String],
}

/// Reads `[sites]` and checks the sites against each other.
pub(crate) fn read(
    value: Option<TomlValue<'_>>,
    context: SiteContext<'_>,
    config: &Config,
    report: &mut Report<'_>,
) -> Vec<SiteConfig> {
    let Some(value) = value else {
        report.at(0, Problem::NoSites);
        return Vec::new();
    };
    let Some(table) = report.accept(value.start(), value.table()) else {
        return Vec::new();
    };
    if table.is_empty() {
        report.at(table.start(), Problem::NoSites);
    }
    let mut reader = SiteReader {
        folder: context.folder,
        issuers: context.issuers,
        config,
        report,
    };
    let sites: Vec<_> = table
        .entries()
        .into_iter()
        .filter_map(|(name, start, value)| reader.read(name, start, value))
        .collect();
    check_together(&sites, config, report);
    sites.into_iter().map(|placed| placed.site).collect()
}

impl SiteReader<'_, '_> {
    fn read(&mut self, name: &str, start: usize, value: TomlValue<'_>) -> Option<PlacedSite> {
        if !self.report.is_quoted(start)
            && let Some(problem) = misread_name(name, value)
        {
            self.report.at(start, problem);
            return None;
        }
        let pattern = self.report.accept(start, parse_pattern(name));
        match value.table() {
            Ok(table) => self.read_table(start, pattern, &table),
            Err(_) if value.is_string() || value.is_list() => self.read_line(start, pattern, value),
            Err(problem) => {
                self.report.at(value.start(), problem);
                None
            }
        }
    }

    fn read_line(
        &mut self,
        start: usize,
        pattern: Option<HostPattern>,
        value: TomlValue<'_>,
    ) -> Option<PlacedSite> {
        let addresses = self.read_addresses(value);
        let mut options = self.config.upstreams.clone();
        balancing::read_line(value, &mut options.balancing, self.report);
        let sources = Sources::inherited(self.config);
        let site = self
            .config
            .site(pattern.clone().unwrap_or(HostPattern::Any));
        self.check_served(start, &site.listen, site.http);
        self.check_certificate(start, pattern.as_ref(), sources);
        let dns = self.inherited_dns(pattern.as_ref(), sources);
        pattern?;
        let site = SiteConfig {
            dns,
            routes: vec![RouteConfig::whole(SiteAction::Upstream {
                addresses,
                options,
            })],
            ..site
        };
        Some(PlacedSite {
            site,
            start,
            aliases: Vec::new(),
            routes: vec![start],
        })
    }

    fn read_table(
        &mut self,
        start: usize,
        pattern: Option<HostPattern>,
        table: &TomlTable<'_>,
    ) -> Option<PlacedSite> {
        let (alias_starts, aliases) = self.read_aliases(table);
        let headers = header_changes::read(table, self.folder, self.report);
        let names = Names {
            start,
            pattern: pattern.as_ref(),
            aliases: alias_starts.iter().copied().zip(&aliases).collect(),
        };
        let http = self
            .reader(table)
            .read_key("http", http_modes(), self.report);
        let http = http.unwrap_or_default();
        let (issuer, dns) = self.read_certificate(&names, table, http);
        let defaults = self
            .config
            .site(pattern.clone().unwrap_or(HostPattern::Any));
        let listen = self.read_listeners(start, table, http, defaults.listen.clone());
        let reader = self.reader(table);
        let mut site = SiteConfig {
            headers,
            http,
            listen,
            issuer,
            dns,
            features: site_features::read(reader, self.config, self.report),
            ..defaults
        };
        reader.read(&site_scalar_fields(), &mut site, self.report);
        let client_auth = site.client_auth.as_ref();
        let needs_certificate =
            client_auth.is_some_and(|options| options.mode == ClientAuthMode::Required);
        site.guards = guards::read(reader, needs_certificate, self.config, self.report);
        let route_starts = self.read_all_routes(start, table, &mut site);
        guards::reserve_headers(&mut site);
        table.finish(self.report);
        site.aliases = aliases;
        site.pattern = pattern?;
        Some(PlacedSite {
            site,
            start,
            aliases: alias_starts,
            routes: route_starts,
        })
    }

    fn read_aliases(&mut self, table: &TomlTable<'_>) -> (Vec<usize>, Vec<HostPattern>) {
        let names = table.read("aliases", self.report, TomlValue::list);
        let mut aliases = Vec::new();
        for value in names.unwrap_or_default() {
            match value.string().and_then(parse_pattern) {
                Ok(pattern) => aliases.push((value.start(), pattern)),
                Err(problem) => self.report.at(value.start(), problem),
            }
        }
        aliases.into_iter().unzip()
    }

    /// Reads the action of the site itself and its routes into the site. Returns their offsets.
    fn read_all_routes(
        &mut self,
        start: usize,
        table: &TomlTable<'_>,
        site: &mut SiteConfig,
    ) -> Vec<usize> {
        let root = PathPrefix::root();
        let action = self.read_action(table, &root, None);
        let rewrite = self.read_rewrite(table, &root);
        let has_routes = table.has("routes");
        if matches!(action, Ok(None)) && !has_routes && table.has_only_known_keys() {
            self.report.at(start, Problem::NoAction);
        }
        let own = action.ok().flatten().map(|action| RouteConfig {
            rewrite,
            ..RouteConfig::whole(action)
        });
        let mut routes = self.read_routes(table, own.as_ref(), site);
        if let Some(own) = own {
            self.check_use(table, &own.action);
            routes.insert(0, (start, own));
        }
        let (starts, routes) = routes.into_iter().unzip();
        site.routes = routes;
        starts
    }
}

/// Returns the problem with a name that is not quoted: a setting, or a name with dots.
fn misread_name(name: &str, value: TomlValue<'_>) -> Option<Problem> {
    let is_in = |keys: &[Key]| keys.iter().any(|key| key.name == name);
    if is_in(PROXYFILE) {
        return Some(Problem::TopLevelKey(name.to_owned()));
    }
    if is_in(SITE) {
        return Some(Problem::SiteKey(name.to_owned()));
    }
    unquoted_name(name, value).map(Problem::UnquotedName)
}

/// Returns the name that was meant by `www.example.org = "…"`, which TOML reads as nested tables.
fn unquoted_name(name: &str, value: TomlValue<'_>) -> Option<String> {
    let table = value.table().ok()?;
    let (key, _, inner) = table
        .entries()
        .into_iter()
        .find(|(key, _, _)| SITE.iter().all(|known| known.name != *key))?;
    let whole = format!("{name}.{key}");
    if inner.is_table() {
        return Some(unquoted_name(&whole, inner).unwrap_or(whole));
    }
    (inner.is_string() || inner.is_list()).then_some(whole)
}

fn parse_pattern(text: &str) -> Result<HostPattern, Problem> {
    HostPattern::parse(text).map_err(|error| Problem::SiteName {
        name: text.to_owned(),
        error,
    })
}
