//! The `[sites]` of a Proxyfile, each by itself and against the others.

use std::path::Path;

use toml::de::DeValue;

use crate::name::HostPattern;
use crate::proxy::{PathPrefix, SiteFeatureOptions};
use crate::upstream::{self, Address};

use super::balance;
use super::client_auth;
use super::comforts;
use super::diagnostic::Report;
use super::origin::Origins;
use super::problem::Problem;
use super::proxyfile::read_upstreams;
use super::settings::Config;
use super::site::{HeaderConfig, RouteConfig, SiteAction, SiteConfig};
use super::site_certificate::{Names, Sources};
use super::table::{Table, Value};
use super::{guards, header_changes, min_tls, site_checks};

pub(super) const KEYS: &[&str] = &[
    "upstream",
    "redirect",
    "respond",
    "files",
    "aliases",
    "routes",
    "rewrite",
    "request-headers",
    "response-headers",
    "on-demand",
    "issuer",
    "dns",
    "tls",
    "default",
    "upstream-options",
    "balance",
    "health",
    "allow",
    "deny",
    "basic-auth",
    "forward-auth",
    "rate-limit",
    "max-body",
    "limits",
    "request-timeout",
    "hsts",
    "access-log",
    "request-id",
    "compress",
    "error-pages",
    "maintenance",
    "client-auth",
    "min-tls",
];
pub(super) const FORMS: &str =
    "an upstream such as `\"localhost:3000\"`, a list of them or a table";

pub(super) fn read(
    value: Option<Value<'_>>,
    (folder, issuers): (&Path, &[String]),
    config: &Config,
    report: &mut Report<'_>,
) -> Vec<SiteConfig> {
    let table = match value.map(|value| (value.start(), value.table())) {
        Some((_, Ok(table))) => table,
        Some((start, Err(problem))) => {
            report.at(start, problem);
            return Vec::new();
        }
        None => {
            report.at(0, Problem::NoSites);
            return Vec::new();
        }
    };
    if table.entries().is_empty() {
        report.at(table.start(), Problem::NoSites);
    }
    let mut reader = SiteReader {
        folder,
        issuers,
        config,
        report,
    };
    let sites: Vec<_> = table
        .entries()
        .into_iter()
        .filter_map(|(name, start, value)| reader.read(name, start, value))
        .collect();
    site_checks::check_together(&sites, config, report);
    sites.into_iter().map(|placed| placed.site).collect()
}

/// A site with where it stands in the file.
pub(super) struct Placed {
    pub(super) site: SiteConfig,
    pub(super) start: usize,
    pub(super) aliases: Vec<usize>,
    pub(super) routes: Vec<usize>,
}

pub(super) struct SiteReader<'a, 'r> {
    pub(super) folder: &'a Path,
    pub(super) issuers: &'a [String],
    pub(super) config: &'a Config,
    pub(super) report: &'a mut Report<'r>,
}

impl SiteReader<'_, '_> {
    fn read(&mut self, name: &str, start: usize, value: Value<'_>) -> Option<Placed> {
        if !self.report.is_quoted(start)
            && let Some(whole) = unquoted_name(name, value)
        {
            self.report.at(start, Problem::UnquotedName(whole));
            return None;
        }
        let pattern = match parse_pattern(name) {
            Ok(pattern) => Some(pattern),
            Err(problem) => {
                self.report.at(start, problem);
                None
            }
        };
        match value.node() {
            DeValue::String(_) | DeValue::Array(_) => self.read_line(start, pattern, value),
            DeValue::Table(_) => self.read_table(start, pattern, value.table().ok()?),
            _ => {
                self.report.at(value.start(), value.mismatch(FORMS));
                None
            }
        }
    }

    fn read_line(
        &mut self,
        start: usize,
        pattern: Option<HostPattern>,
        value: Value<'_>,
    ) -> Option<Placed> {
        let addresses = self.read_addresses(value);
        let mut options = self.config.upstreams.clone();
        balance::read_line(value, &mut options.balancing, self.report);
        self.check_certificate(start, pattern.as_ref(), Sources::default());
        let site = SiteConfig {
            pattern: pattern?,
            aliases: Vec::new(),
            routes: vec![RouteConfig::whole(SiteAction::Upstream {
                addresses,
                options,
            })],
            headers: HeaderConfig::default(),
            guards: None,
            on_demand: None,
            issuer: None,
            dns: None,
            tls: None,
            default: false,
            features: self.config.features.clone(),
            client_auth: None,
            min_tls: self.config.min_tls,
        };
        Some(Placed {
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
        mut table: Table<'_>,
    ) -> Option<Placed> {
        let (alias_starts, aliases) = self.read_aliases(&mut table);
        let (route_starts, routes) = self.read_all_routes(start, &mut table);
        let headers = header_changes::read(&mut table, self.folder, self.report);
        let names = Names {
            start,
            pattern: pattern.as_ref(),
            aliases: alias_starts.iter().copied().zip(&aliases).collect(),
        };
        let certificate = self.read_certificate(&names, &mut table);
        let default = table.read("default", self.report, Value::boolean);
        let guards = guards::read(&mut table, self.folder, self.config, self.report);
        let features = self.read_features(&mut table);
        let client_auth = client_auth::read(&mut table, self.folder, self.report);
        let min_tls = min_tls::read(&mut table, self.report);
        table.finish(self.report);
        let site = SiteConfig {
            pattern: pattern?,
            aliases,
            routes,
            headers,
            guards,
            on_demand: certificate.on_demand,
            issuer: certificate.issuer,
            dns: certificate.dns,
            tls: certificate.tls,
            default: default.unwrap_or_default(),
            features,
            client_auth,
            min_tls: min_tls.unwrap_or(self.config.min_tls),
        };
        Some(Placed {
            site,
            start,
            aliases: alias_starts,
            routes: route_starts,
        })
    }

    fn read_features(&mut self, table: &mut Table<'_>) -> SiteFeatureOptions {
        let context = comforts::Context {
            shared: &self.config.features,
            has_access_log: self.config.access_log.is_some(),
            folder: self.folder,
        };
        context.read_site(table, self.report)
    }

    fn read_aliases(&mut self, table: &mut Table<'_>) -> (Vec<usize>, Vec<HostPattern>) {
        let expected = "a list of names, as in `[\"example.org\"]`";
        let names = table.read("aliases", self.report, |value| value.list(expected));
        let mut aliases = Vec::new();
        for value in names.unwrap_or_default() {
            match value.string().and_then(parse_pattern) {
                Ok(pattern) => aliases.push((value.start(), pattern)),
                Err(problem) => self.report.at(value.start(), problem),
            }
        }
        aliases.into_iter().unzip()
    }

    /// What the site itself says, and its routes.
    fn read_all_routes(
        &mut self,
        start: usize,
        table: &mut Table<'_>,
    ) -> (Vec<usize>, Vec<RouteConfig>) {
        let root = PathPrefix::root();
        let action = self.read_action(table, &root, None);
        let rewrite = self.read_rewrite(table, &root);
        let has_routes = table.value("routes").is_some();
        if matches!(action, Ok(None)) && !has_routes && table.has_only(KEYS) {
            self.report.at(start, Problem::NoAction);
        }
        let own = action.ok().flatten().map(|action| RouteConfig {
            rewrite,
            ..RouteConfig::whole(action)
        });
        let mut routes = self.read_routes(table, own.as_ref());
        if let Some(own) = own {
            self.check_use(table, &own.action);
            routes.insert(0, (start, own));
        }
        routes.into_iter().unzip()
    }

    pub(super) fn read_options(
        &mut self,
        table: &mut Table<'_>,
        inherited: &upstream::Options,
    ) -> upstream::Options {
        let mut options = inherited.clone();
        if let Some(section) = table.read("upstream-options", self.report, Value::table) {
            read_upstreams(
                (section, self.folder),
                (&mut options, &mut Origins::default()),
                self.report,
            );
        }
        balance::read(table, &mut options.balancing, self.report);
        options
    }

    pub(super) fn read_addresses(&mut self, value: Value<'_>) -> Vec<Address> {
        let texts = match value.node() {
            DeValue::Array(_) => value.list(FORMS),
            _ => Ok(vec![value]),
        };
        let texts = texts.unwrap_or_default();
        if texts.is_empty() {
            self.report.at(value.start(), Problem::NoAddress);
        }
        let mut addresses = Vec::new();
        for text in texts {
            match self.read_address(text, &addresses) {
                Ok(address) => addresses.push(address),
                Err(problem) => self.report.at(text.start(), problem),
            }
        }
        addresses
    }

    fn read_address(&self, value: Value<'_>, others: &[Address]) -> Result<Address, Problem> {
        let text = balance::address(value)?.text("an upstream, as in `\"localhost:3000\"`")?;
        let address = Address::parse(&text)?;
        if self.config.listens_on(&address) {
            return Err(Problem::OwnAddress(address));
        }
        match others.contains(&address) {
            true => Err(Problem::SameAddress(address)),
            false => Ok(address),
        }
    }
}

/// The name that was meant by `www.example.org = "…"`, which TOML reads as tables within tables.
fn unquoted_name(name: &str, value: Value<'_>) -> Option<String> {
    let table = value.table().ok()?;
    let (key, _, inner) = table
        .entries()
        .into_iter()
        .find(|(key, _, _)| !KEYS.contains(key))?;
    let whole = format!("{name}.{key}");
    match inner.node() {
        DeValue::String(_) | DeValue::Array(_) => Some(whole),
        DeValue::Table(_) => Some(unquoted_name(&whole, inner).unwrap_or(whole)),
        _ => None,
    }
}

fn parse_pattern(text: &str) -> Result<HostPattern, Problem> {
    HostPattern::parse(text).map_err(|error| Problem::SiteName {
        name: text.to_owned(),
        error,
    })
}
