//! Conflicts between valid sites: repeated names, several defaults of one listener, and redirects that loop.

use url::Url;

use crate::config::model::{Config, SiteAction, SiteConfig};
use crate::config::report::{Problem, Report};
use crate::name::NameMap;

/// A site with its offset in the file, and those of its aliases and routes.
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
        check_redirect_loops(site, &starts, config, report);
    }
}

/// Reports repeated names. Returns the offset of each name, and that of its site.
fn check_names(sites: &[PlacedSite], report: &mut Report<'_>) -> NameMap<(usize, usize)> {
    let mut starts: NameMap<(usize, usize)> = NameMap::new();
    for placed in sites {
        let offsets = std::iter::once(&placed.start).chain(&placed.aliases);
        for (pattern, start) in placed.site.patterns().zip(offsets) {
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
    let defaults: Vec<_> = sites.iter().filter(|placed| placed.site.default).collect();
    for (index, placed) in defaults.iter().enumerate() {
        if placed.site.exact_name().is_none() {
            let pattern = placed.site.pattern.clone();
            report.at(placed.start, Problem::DefaultWildcard(pattern));
        }
        let is_on = |name: &String| placed.site.listen.contains(name);
        let mut before = defaults[..index].iter();
        let first = before.find(|first| first.site.listen.iter().any(is_on));
        if let Some(first) = first {
            let line = report.line(first.start);
            report.at(placed.start, Problem::SecondDefault(line));
        }
    }
}

/// Reports redirects to a path of their own route. Targets with placeholders are not known and not checked.
fn check_redirect_loops(
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
        let path = match own_target(to, &placed.site, config) {
            Some((Some(host), path)) => {
                let target = starts.lookup(&host).map(|(_, site)| *site);
                (target == Some(placed.start)).then_some(path)
            }
            Some((None, path)) => Some(path),
            None => None,
        };
        let Some(path) = path else { continue };
        let target = routes
            .iter()
            .filter(|other| other.prefix.covers(path.as_bytes()))
            .max_by_key(|other| other.prefix.as_str().len());
        if target.is_some_and(|target| target.prefix == route.prefix) {
            report.at(*start, Problem::RedirectLoop(to.clone()));
        }
    }
}

/// Returns the host and path of a target that `site` may serve. The host is `None` if it stays the same.
fn own_target(to: &str, site: &SiteConfig, config: &Config) -> Option<(Option<String>, String)> {
    if to.contains('{') {
        return None;
    }
    if to.starts_with('/') {
        let path = to.split(['?', '#']).next().unwrap_or(to);
        return Some((None, path.to_owned()));
    }
    let url = Url::parse(to).ok()?;
    let port = url.port_or_known_default()?;
    let is_tls = url.scheme() == "https";
    let default = if is_tls { 443 } else { 80 };
    let is_served = site.http.is_served(is_tls);
    let is_own = is_served && (port == default || config.ports_of(site, is_tls).contains(&port));
    let host = url.host_str().filter(|_| is_own)?;
    Some((Some(host.to_owned()), url.path().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Flags};

    #[test]
    fn each_listener_may_have_its_own_default_site() {
        for (a, b, is_valid) in [
            ("default", "lan", true),
            ("lan", "lan", false),
            ("default\", \"lan", "lan", false),
        ] {
            let site = |name: &str, listen: &str| {
                format!(
                    "\"{name}\" = {{ upstream = \"1\", default = true, listen = [\"{listen}\"] }}\n"
                )
            };
            let text = format!(
                "storage = \"file:/data\"\nlisten.https = [\":443\", {{ name = \"lan\", address = \":8443\" }}]\n\
                 [sites]\n{}{}",
                site("a.test", a),
                site("b.test", b)
            );
            let config = Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default());
            assert_eq!(config.is_ok(), is_valid, "{a} {b} {config:?}");
        }
    }

    #[test]
    fn a_redirect_loops_where_the_site_itself_serves_the_target() {
        for (http, to, is_loop) in [
            ("redirect", "https://a.example.org/x", true),
            ("serve", "https://a.example.org/x", false),
            ("serve", "http://a.example.org:8080/x", true),
            ("serve", "http://a.example.org:81/x", false),
            ("both", "https://a.example.org/x", true),
            ("both", "http://a.example.org/x", true),
        ] {
            let text = format!(
                "storage = \"file:/data\"\nlisten.http = \":8080\"\n[sites]\n\
                 \"a.example.org\" = {{ redirect = \"{to}\", http = \"{http}\" }}\n"
            );
            let config = Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default());
            assert_eq!(config.is_err(), is_loop, "{http} {to}");
        }
    }
}
