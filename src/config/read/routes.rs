//! Reads the action of a site and its `routes`.

use crate::config::model::{HeaderConfig, RouteConfig, SiteAction, SiteConfig};
use crate::config::report::Problem;
use crate::config::toml::{TomlTable, TomlValue};
use crate::proxy::{PathPrefix, Rewrite};
use crate::upstream::{Address, Options, Protocol};

use super::balancing;
use super::guards;
use super::handlers;
use super::header_changes;
use super::site_reader::SiteReader;

const ACTIONS: [&str; 4] = ["upstream", "redirect", "respond", "files"];

/// Error of a reader that has already reported the problem.
pub(crate) struct Reported;

impl SiteReader<'_, '_> {
    /// Reads the `routes` of a site with their offsets. A route without an action inherits `own`, that of the site. Its access
    /// control changes that of the site, which must have been read.
    pub(crate) fn read_routes(
        &mut self,
        table: &TomlTable<'_>,
        own: Option<&RouteConfig>,
        site: &SiteConfig,
    ) -> Vec<(usize, RouteConfig)> {
        let Some(table) = table.read("routes", self.report, TomlValue::table) else {
            return Vec::new();
        };
        if table.is_empty() {
            self.report.at(table.start(), Problem::NoRoutes);
        }
        let mut routes: Vec<(usize, RouteConfig)> = Vec::new();
        for (text, start, value) in table.entries() {
            let prefix = self.report.accept(start, PathPrefix::parse(text));
            let Some(prefix) = prefix else { continue };
            if own.is_some() && prefix.is_root() {
                self.report.at(start, Problem::SiteRoute);
            } else if let Some((first, _)) = routes.iter().find(|(_, route)| route.prefix == prefix)
            {
                let line = self.report.line(*first);
                self.report.at(start, Problem::SameRoute { prefix, line });
                continue;
            }
            let action = own.map(|own| &own.action);
            let route = self.read_route(start, prefix, value, action);
            let Some(mut route) = route else { continue };
            if let Ok(table) = value.table() {
                let reader = self.reader(&table);
                route.guards = guards::read_of_route(reader, site, self.config, self.report);
            }
            routes.push((start, route));
        }
        routes
    }

    fn read_route(
        &mut self,
        start: usize,
        prefix: PathPrefix,
        value: TomlValue<'_>,
        inherited: Option<&SiteAction>,
    ) -> Option<RouteConfig> {
        match value.table() {
            Err(_) if value.is_string() || value.is_list() => {
                let mut options = self.inherited_options(inherited).clone();
                balancing::read_line(value, &mut options.balancing, self.report);
                let addresses = self.read_addresses(value);
                let action = SiteAction::Upstream { addresses, options };
                Some(RouteConfig {
                    prefix,
                    ..RouteConfig::whole(action)
                })
            }
            Ok(table) => self.read_route_table(start, prefix, &table, inherited),
            Err(problem) => {
                self.report.at(value.start(), problem);
                None
            }
        }
    }

    fn read_route_table(
        &mut self,
        start: usize,
        prefix: PathPrefix,
        table: &TomlTable<'_>,
        inherited: Option<&SiteAction>,
    ) -> Option<RouteConfig> {
        let action = self.read_action(table, &prefix, inherited);
        let strips = table.read("strip-prefix", self.report, TomlValue::boolean);
        let rewrite = self.read_rewrite(table, &prefix);
        if let Some(value) = table.value("strip-prefix").filter(|_| strips == Some(true))
            && table.value("rewrite").is_some()
        {
            self.report.at(value.start(), Problem::StripAndRewrite);
        }
        let headers: HeaderConfig = header_changes::read(table, self.folder, self.report);
        match &action {
            Ok(Some(action)) => self.check_use(table, action),
            Ok(None) => self.report.at(start, Problem::NoRouteAction),
            Err(Reported) => {}
        }
        table.finish(self.report);
        let strip = strips
            .unwrap_or_default()
            .then(|| Rewrite::strip(prefix.clone()));
        Some(RouteConfig {
            prefix,
            action: action.ok()??,
            rewrite: strip.or(rewrite),
            guards: None,
            headers,
        })
    }

    /// Reads the action of a table, or returns the `inherited` one if it has none.
    pub(crate) fn read_action(
        &mut self,
        table: &TomlTable<'_>,
        prefix: &PathPrefix,
        inherited: Option<&SiteAction>,
    ) -> Result<Option<SiteAction>, Reported> {
        let base = self.inherited_options(inherited).clone();
        let options = self.read_options(table, &base);
        let mut given = ACTIONS
            .into_iter()
            .filter_map(|key| Some((key, table.value(key)?)))
            .collect::<Vec<_>>()
            .into_iter();
        let Some((key, value)) = given.next() else {
            if matches!(inherited, Some(SiteAction::Upstream { .. }) | None) {
                balancing::reject_without_upstream(table, self.report);
            }
            return Ok(match inherited.cloned() {
                Some(SiteAction::Upstream { addresses, .. }) => {
                    if let Some(value) = table.value("upstream-options") {
                        self.check_tls(value, &addresses, &options, &base);
                    }
                    Some(SiteAction::Upstream { addresses, options })
                }
                // A redirect appends the path after its prefix, and the prefix of the route is another one.
                Some(SiteAction::Redirect(_)) | None => None,
                action => action,
            });
        };
        if let Some((other, value)) = given.next() {
            let problem = Problem::TwoActions([key, other]);
            self.report.at(value.start(), problem);
            return Err(Reported);
        }
        let action = match key {
            "redirect" => {
                handlers::read_redirect(value, prefix, self.report).map(SiteAction::Redirect)
            }
            "respond" => handlers::read_fixed(value, self.report).map(SiteAction::Respond),
            "files" => handlers::read_files(value, self.folder, self.report).map(SiteAction::Files),
            _ => {
                let addresses = self.read_addresses(value);
                self.check_tls(value, &addresses, &options, &base);
                Some(SiteAction::Upstream { addresses, options })
            }
        };
        action.map(Some).ok_or(Reported)
    }

    /// Reports TLS settings that are not inherited, if no address uses TLS.
    fn check_tls(
        &mut self,
        value: TomlValue<'_>,
        addresses: &[Address],
        options: &Options,
        inherited: &Options,
    ) {
        let is_used = addresses.is_empty() || is_behind_tls(addresses);
        if options.tls != inherited.tls && !is_used {
            self.report.at(value.start(), Problem::TlsWithoutHttps);
        }
    }

    fn inherited_options<'s>(&'s self, inherited: Option<&'s SiteAction>) -> &'s Options {
        match inherited {
            Some(SiteAction::Upstream { options, .. }) => options,
            _ => &self.config.upstreams,
        }
    }

    pub(crate) fn read_rewrite(
        &mut self,
        table: &TomlTable<'_>,
        prefix: &PathPrefix,
    ) -> Option<Rewrite> {
        table.read("rewrite", self.report, |value| {
            Ok(Rewrite::replace(prefix.clone(), value.string()?)?)
        })
    }

    /// Reports keys that have no effect on the action.
    pub(crate) fn check_use(&mut self, table: &TomlTable<'_>, action: &SiteAction) {
        let without_effect: &[&'static str] = match action {
            SiteAction::Upstream { .. } => &[],
            SiteAction::Files(_) => &["upstream-options", "balance", "health"],
            SiteAction::Redirect(_) | SiteAction::Respond(_) => &[
                "upstream-options",
                "balance",
                "health",
                "strip-prefix",
                "rewrite",
            ],
        };
        for key in without_effect {
            if let Some(value) = table.value(key) {
                self.report.at(value.start(), Problem::WithoutUpstream(key));
            }
        }
    }
}

fn is_behind_tls(addresses: &[Address]) -> bool {
    let mut protocols = addresses.iter().map(Address::protocol);
    protocols.any(|protocol| protocol == Protocol::Https)
}
