//! What is wrong with sites that are right by themselves: two that claim one name, or one that leads in circles.

use url::Url;

use crate::config::model::{Config, SiteAction, SiteConfig};
use crate::config::report::{Problem, Report};
use crate::name::NameMap;

/// A site with where it stands in the file.
pub(crate) struct PlacedSite {
    pub(crate) site: SiteConfig,
    pub(crate) start: usize,
    pub(crate) aliases: Vec<usize>,
    pub(crate) routes: Vec<usize>,
}

pub(crate) fn check_together(sites: &[PlacedSite], config: &Config, report: &mut Report<'_>) {
    let starts = check_names(sites, report);
    check_defaults(sites, report);
    for site in sites {
        check_circles(site, &starts, config, report);
    }
}

/// Where each name stands first, and the site that it belongs to.
fn check_names(sites: &[PlacedSite], report: &mut Report<'_>) -> NameMap<(usize, usize)> {
    let mut starts: NameMap<(usize, usize)> = NameMap::new();
    for placed in sites {
        let places = std::iter::once(&placed.start).chain(&placed.aliases);
        for (pattern, start) in placed.site.patterns().zip(places) {
            match starts.get(pattern) {
                Some((first, _)) => {
                    let line = report.line(*first);
                    let pattern = pattern.clone();
                    report.at(*start, Problem::SameSite { pattern, line });
                }
                None => {
                    starts.insert(pattern.clone(), (*start, placed.start));
                }
            }
        }
    }
    starts
}

fn check_defaults(sites: &[PlacedSite], report: &mut Report<'_>) {
    let mut defaults = sites.iter().filter(|placed| placed.site.default);
    if let Some(first) = defaults.next() {
        for placed in defaults {
            let line = report.line(first.start);
            report.at(placed.start, Problem::SecondDefault(line));
        }
    }
}

/// Whether a redirect leads to a path that it redirects itself. What placeholders lead to is not known.
fn check_circles(
    placed: &PlacedSite,
    starts: &NameMap<(usize, usize)>,
    config: &Config,
    report: &mut Report<'_>,
) {
    let routes = &placed.site.routes;
    for (route, start) in routes.iter().zip(&placed.routes) {
        let SiteAction::Redirect(redirect) = &route.action else {
            continue;
        };
        let to = &redirect.options().to;
        let path = match landing(to, config) {
            Some((Some(host), path)) => {
                let landed = starts.lookup(&host).map(|(_, site)| *site);
                (landed == Some(placed.start)).then_some(path)
            }
            Some((None, path)) => Some(path),
            None => None,
        };
        let Some(path) = path else { continue };
        let landed = routes
            .iter()
            .filter(|other| other.prefix.covers(path.as_bytes()))
            .max_by_key(|other| other.prefix.as_str().len());
        if landed.is_some_and(|landed| landed.prefix == route.prefix) {
            report.at(*start, Problem::RedirectLoop(to.clone()));
        }
    }
}

/// The host and the path of a target that this proxy may serve; no host for the one that was asked for.
fn landing(to: &str, config: &Config) -> Option<(Option<String>, String)> {
    if to.contains('{') {
        return None;
    }
    if to.starts_with('/') {
        let path = to.split(['?', '#']).next().unwrap_or(to);
        return Some((None, path.to_owned()));
    }
    let url = Url::parse(to).ok()?;
    let port = url.port_or_known_default()?;
    let is_own = url.scheme() == "https" && (port == 443 || port == config.listen.https.port());
    let host = url.host_str().filter(|_| is_own)?;
    Some((Some(host.to_owned()), url.path().to_owned()))
}
