//! Reads the access control of a site and of its routes, and checks it against the settings of all sites.

use http::header::HeaderName;

use crate::config::fields::{self, TableReader};
use crate::config::model::{Config, SiteConfig};
use crate::config::report::{GuardProblem, Problem, Report};
use crate::config::value::format_size;
use crate::proxy::{GuardOptions, Satisfy};

/// Header fields by which some apps replace the path of a request. On a site whose routes have access control of their
/// own, they would lead around it.
const PATH_OVERRIDES: [HeaderName; 2] = [
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// Reads the guards of a site. `needs_certificate` tells whether its `client-auth` requires a certificate. Returns `None` if
/// it has no guards.
pub(crate) fn read(
    reader: TableReader<'_, '_>,
    needs_certificate: bool,
    config: &Config,
    report: &mut Report<'_>,
) -> Option<Box<GuardOptions>> {
    let mut guards = GuardOptions {
        client_certificate: needs_certificate,
        ..GuardOptions::default()
    };
    reader.read(&fields::guards(), &mut guards, report);
    check(reader, &guards, config, report);
    check_limits(reader, &guards, config, report);
    (guards != GuardOptions::default()).then(|| Box::new(guards))
}

/// Reads the guards of a route over those of its site. Returns `None` if they do not differ.
pub(crate) fn read_of_route(
    reader: TableReader<'_, '_>,
    site: &SiteConfig,
    config: &Config,
    report: &mut Report<'_>,
) -> Option<Box<GuardOptions>> {
    let fields = fields::route_guards();
    if !fields.iter().any(|field| reader.table.has(field.key)) {
        return None;
    }
    let mut guards = site.guards.clone().unwrap_or_default();
    reader.read(&fields, &mut guards, report);
    check(reader, &guards, config, report);
    if let Some(value) = reader.table.value("client-auth")
        && site.client_auth.is_none()
    {
        report.at(value.start(), GuardProblem::NoClientAuth.into());
    }
    let is_other = guards != site.guards.clone().unwrap_or_default();
    is_other.then_some(guards)
}

/// Reserves, on all paths of the site, the header fields on which the guards of some paths rely.
pub(crate) fn reserve_headers(site: &mut SiteConfig) {
    if site.routes.iter().all(|route| route.guards.is_none()) {
        return;
    }
    let routes = site.routes.iter_mut().map(|route| &mut route.guards);
    let all: Vec<_> = routes.flatten().collect();
    let own = site.guards.get_or_insert_default();
    let mut reserved = PATH_OVERRIDES.to_vec();
    for guards in all.iter().map(|guards| &***guards).chain([&**own]) {
        let copied = guards.forward_auth.iter();
        for name in copied.flat_map(|options| &options.copy_headers) {
            if !reserved.contains(name) {
                reserved.push(name.clone());
            }
        }
    }
    for guards in all.into_iter().chain([own]) {
        guards.reserved_headers.clone_from(&reserved);
    }
}

fn check(
    reader: TableReader<'_, '_>,
    guards: &GuardOptions,
    config: &Config,
    report: &mut Report<'_>,
) {
    let table = reader.table;
    if let Some(forward) = &guards.forward_auth
        && config.listens_on(&forward.address)
        && table.has("forward-auth")
    {
        let problem = Problem::OwnAddress(forward.address.clone());
        report.at(start_of(reader, ["forward-auth", "url"]), problem);
    }
    let has_credentials = guards.basic_auth.is_some() || guards.forward_auth.is_some();
    if let Some(value) = table.value("satisfy")
        && guards.satisfy == Satisfy::Any
        && (guards.networks.allow.is_empty() || !has_credentials)
    {
        report.at(value.start(), GuardProblem::NothingToSatisfy.into());
    }
}

/// Reports limits that are wider than those of all sites.
fn check_limits(
    reader: TableReader<'_, '_>,
    guards: &GuardOptions,
    config: &Config,
    report: &mut Report<'_>,
) {
    let limits = &config.limits;
    let size = format!("`{}`", format_size(limits.head_size));
    let fields = limits.head_fields.to_string();
    let has_wider_size = guards.head_size > Some(limits.head_size);
    let has_wider_fields = guards.head_fields > Some(limits.head_fields);
    for (key, is_wider, limit) in [
        ("head-size", has_wider_size, size),
        ("head-fields", has_wider_fields, fields),
    ] {
        if is_wider {
            let problem = GuardProblem::Wider { key, limit };
            report.at(start_of(reader, ["limits", key]), problem.into());
        }
    }
}

/// Returns the offset of the value of a key in an inner table, or of the value that stands for that table.
fn start_of(reader: TableReader<'_, '_>, [table, key]: [&str; 2]) -> usize {
    let outer = reader.table.value(table);
    let inner = outer.and_then(|value| value.table().ok()?.value(key));
    inner.or(outer).map_or(0, |value| value.start())
}
