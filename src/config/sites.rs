//! The `[sites]` of a Proxyfile, each by itself and against the others.

use std::path::Path;

use toml::de::DeValue;

use crate::certs::{OnDemandOptions, TlsFiles};
use crate::name::{HostPattern, NameMap};
use crate::upstream::{self, Address};

use super::balance;
use super::diagnostic::Report;
use super::origin::Origins;
use super::problem::Problem;
use super::proxyfile::read_upstreams;
use super::settings::Config;
use super::site::{SiteAction, SiteConfig, parse_ask, parse_redirect};
use super::table::{Table, Value};
use super::upstream_tls;

const KEYS: [&str; 8] = [
    "upstream",
    "redirect",
    "on-demand",
    "tls",
    "default",
    "upstream-options",
    "balance",
    "health",
];
const FORMS: &str = "an upstream such as `\"localhost:3000\"`, a list of them or a table";

pub(super) fn read(
    value: Option<Value<'_>>,
    folder: &Path,
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
        config,
        report,
    };
    let sites: Vec<_> = table
        .entries()
        .into_iter()
        .filter_map(|(name, start, value)| Some((start, reader.read(name, start, value)?)))
        .collect();
    check_together(&sites, config, report);
    sites.into_iter().map(|(_, site)| site).collect()
}

struct SiteReader<'a, 'r> {
    folder: &'a Path,
    config: &'a Config,
    report: &'a mut Report<'r>,
}

impl SiteReader<'_, '_> {
    fn read(&mut self, name: &str, start: usize, value: Value<'_>) -> Option<SiteConfig> {
        if !self.report.is_quoted(start)
            && let Some(whole) = unquoted_name(name, value)
        {
            self.report.at(start, Problem::UnquotedName(whole));
            return None;
        }
        let pattern = match HostPattern::parse(name) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let name = name.to_owned();
                self.report.at(start, Problem::SiteName { name, error });
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
    ) -> Option<SiteConfig> {
        let addresses = self.read_addresses(value);
        let mut options = self.config.upstreams.clone();
        balance::read_line(value, &mut options.balancing, self.report);
        self.check_certificate(start, pattern.as_ref(), [false, false]);
        Some(SiteConfig {
            pattern: pattern?,
            action: SiteAction::Upstream { addresses, options },
            on_demand: None,
            tls: None,
            default: false,
        })
    }

    fn read_table(
        &mut self,
        start: usize,
        pattern: Option<HostPattern>,
        mut table: Table<'_>,
    ) -> Option<SiteConfig> {
        let action = self.read_action(start, &mut table);
        let sources = ["on-demand", "tls"].map(|key| table.value(key).is_some());
        if table.has_only(&KEYS) {
            self.check_certificate(start, pattern.as_ref(), sources);
        }
        let on_demand = table
            .read("on-demand", self.report, Value::table)
            .and_then(|table| self.read_on_demand(table));
        let tls = table
            .read("tls", self.report, Value::table)
            .and_then(|table| self.read_tls(table));
        let default = table.read("default", self.report, Value::boolean);
        table.finish(self.report);
        Some(SiteConfig {
            pattern: pattern?,
            action: action?,
            on_demand,
            tls,
            default: default.unwrap_or_default(),
        })
    }

    fn read_action(&mut self, start: usize, table: &mut Table<'_>) -> Option<SiteAction> {
        let options = self.read_options(table);
        let redirect = table.read("redirect", self.report, |value| {
            parse_redirect(value.string()?)
        });
        match (table.value("upstream"), table.value("redirect")) {
            (Some(_), Some(redirect)) => {
                self.report
                    .at(redirect.start(), Problem::UpstreamAndRedirect);
                None
            }
            (None, None) => {
                if table.has_only(&KEYS) {
                    self.report.at(start, Problem::NoAction);
                }
                None
            }
            (Some(upstream), None) => {
                let addresses = self.read_addresses(upstream);
                if options.tls != self.config.upstreams.tls {
                    upstream_tls::check_used(upstream.start(), &addresses, self.report);
                }
                Some(SiteAction::Upstream { addresses, options })
            }
            (None, Some(_)) => Some(SiteAction::Redirect { to: redirect? }),
        }
    }

    fn read_options(&mut self, table: &mut Table<'_>) -> upstream::Options {
        let mut options = self.config.upstreams.clone();
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

    fn read_addresses(&mut self, value: Value<'_>) -> Vec<Address> {
        let texts = match value.node() {
            DeValue::Array(_) => value.list(FORMS),
            _ => Ok(vec![value]),
        };
        let texts = texts.unwrap_or_default();
        if texts.is_empty() {
            self.report.at(value.start(), Problem::NoAddress);
        }
        texts
            .into_iter()
            .filter_map(|text| match self.read_address(text) {
                Ok(address) => Some(address),
                Err(problem) => {
                    self.report.at(text.start(), problem);
                    None
                }
            })
            .collect()
    }

    fn read_address(&self, value: Value<'_>) -> Result<Address, Problem> {
        let text = balance::address(value)?.text("an upstream, as in `\"localhost:3000\"`")?;
        let address = Address::parse(&text)?;
        match self.config.listens_on(&address) {
            true => Err(Problem::OwnAddress(address)),
            false => Ok(address),
        }
    }

    fn read_on_demand(&mut self, mut table: Table<'_>) -> Option<OnDemandOptions> {
        let key = (
            "ask",
            "on-demand = { ask = \"http://localhost:4000/allowed\" }",
        );
        let options = table.require(key, self.report, |value| parse_ask(value.string()?));
        table.finish(self.report);
        options
    }

    fn read_tls(&mut self, mut table: Table<'_>) -> Option<TlsFiles> {
        let example = "tls = { cert = \"cert.pem\", key = \"key.pem\" }";
        let folder = self.folder;
        let file = |value: &Value<'_>| Ok(folder.join(value.string()?));
        let cert = table.require(("cert", example), self.report, file);
        let key = table.require(("key", example), self.report, file);
        table.finish(self.report);
        Some(TlsFiles {
            cert: cert?,
            key: key?,
        })
    }

    fn check_certificate(
        &mut self,
        start: usize,
        pattern: Option<&HostPattern>,
        [on_demand, tls]: [bool; 2],
    ) {
        let Some(pattern) = pattern else { return };
        let problem = match pattern {
            _ if on_demand && tls => Problem::OnDemandAndTls,
            HostPattern::Any if !on_demand => Problem::AnyWithoutAsk,
            HostPattern::Exact(_) if on_demand => Problem::OnDemandExact(pattern.clone()),
            HostPattern::Wildcard(_) if !on_demand && !tls && !pattern.is_local() => {
                Problem::WildcardCertificate(pattern.clone())
            }
            _ => return,
        };
        self.report.at(start, problem);
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

fn check_together(sites: &[(usize, SiteConfig)], config: &Config, report: &mut Report<'_>) {
    let mut starts: NameMap<usize> = NameMap::new();
    for (start, site) in sites {
        match starts.get(&site.pattern) {
            Some(first) => {
                let line = report.line(*first);
                let pattern = site.pattern.clone();
                report.at(*start, Problem::SameSite { pattern, line });
            }
            None => {
                starts.insert(site.pattern.clone(), *start);
            }
        }
    }
    let mut defaults = sites.iter().filter(|(_, site)| site.default);
    if let Some((first, _)) = defaults.next() {
        for (start, _) in defaults {
            let line = report.line(*first);
            report.at(*start, Problem::SecondDefault(line));
        }
    }
    for (start, site) in sites {
        if let SiteAction::Redirect { to } = &site.action
            && to.scheme() == "https"
            && to
                .port_or_known_default()
                .is_some_and(|port| port == 443 || port == config.listen.https.port())
            && to.host_str().and_then(|host| starts.lookup(host)) == Some(start)
        {
            report.at(*start, Problem::RedirectLoop(to.clone()));
        }
    }
}
