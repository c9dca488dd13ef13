//! The part of `proxy explain` that says what happens to requests.

use std::io::{self, Write};

use crate::config::{
    BalanceText, ChangeKind, HeaderChange, HeaderConfig, RouteConfig, SiteAction, SiteConfig,
    UpstreamTls,
};

use super::explain_client;
use super::values::{duration, list, quoted};

/// Writes what a site says of all its requests.
pub(super) fn write_own(site: &SiteConfig, out: &mut dyn Write) -> io::Result<()> {
    if !site.aliases.is_empty() {
        writeln!(out, "aliases = {}", list(&site.aliases))?;
    }
    if let Some(own) = own(site) {
        write_route(own, out)?;
    }
    write_headers(&site.headers, out)
}

/// Writes the routes of a site as tables of their own, which come last.
pub(super) fn write_routes(site: &SiteConfig, out: &mut dyn Write) -> io::Result<()> {
    for route in site.routes.iter().skip(usize::from(own(site).is_some())) {
        writeln!(out, "\n# Requests {}.", describe(&route.action))?;
        let (pattern, prefix) = (quoted(&site.pattern), quoted(&route.prefix));
        writeln!(out, "[sites.{pattern}.routes.{prefix}]")?;
        write_route(route, out)?;
        write_headers(&route.headers, out)?;
    }
    Ok(())
}

/// What happens to the requests of a site that none of its further routes is for.
pub(super) fn describe_site(site: &SiteConfig) -> String {
    own(site).map_or_else(
        || "are told apart by their path".to_owned(),
        |own| describe(&own.action),
    )
}

/// The route that a site can say of itself.
fn own(site: &SiteConfig) -> Option<&RouteConfig> {
    let first = site.routes.first()?;
    let is_own = first.prefix.is_root() && first.headers == HeaderConfig::default();
    is_own.then_some(first)
}

fn describe(action: &SiteAction) -> String {
    match action {
        SiteAction::Upstream { addresses, .. } => match addresses.as_slice() {
            [address] => format!("go to {address}"),
            _ => format!("are balanced over {} addresses", addresses.len()),
        },
        SiteAction::Redirect(redirect) => format!("are redirected to {}", redirect.options().to),
        SiteAction::Respond(fixed) => format!("are answered with {}", fixed.status().as_u16()),
        SiteAction::Files(files) => format!("get the files below {}", files.root().display()),
    }
}

fn write_route(route: &RouteConfig, out: &mut dyn Write) -> io::Result<()> {
    match &route.action {
        SiteAction::Upstream { addresses, options } => {
            let balance = BalanceText::new(options);
            writeln!(out, "upstream = {}", balance.upstream(addresses))?;
            for line in balance.lines(addresses) {
                writeln!(out, "{line}")?;
            }
            writeln!(
                out,
                "upstream-options = {{ connect-timeout = {}, response-timeout = {}, idle-timeout = {}, send-proxy = {}{}{} }}",
                duration(options.connect_timeout),
                duration(options.response_timeout),
                duration(options.idle_timeout),
                explain_client::send_proxy(options.send_proxy),
                balance.inline(),
                UpstreamTls::used(addresses, options)
                    .map_or_else(String::new, |tls| format!(", tls = {tls}")),
            )?;
        }
        SiteAction::Redirect(redirect) => {
            let options = redirect.options();
            let (to, status, append) = (quoted(&options.to), options.status, options.append);
            writeln!(
                out,
                "redirect = {{ to = {to}, status = {status}, append = {append} }}"
            )?;
        }
        SiteAction::Respond(fixed) => writeln!(
            out,
            "respond = {{ status = {}, body = {}, content-type = {} }}",
            fixed.status().as_u16(),
            quoted(fixed.body()),
            quoted(fixed.content_type()),
        )?,
        SiteAction::Files(files) => {
            let root = quoted(files.root().display());
            match files.fallback() {
                Some(fallback) => writeln!(
                    out,
                    "files = {{ root = {root}, fallback = {} }}",
                    quoted(fallback)
                )?,
                None => writeln!(out, "files = {root}")?,
            }
        }
    }
    match route.rewrite.as_ref().map(|rewrite| rewrite.beginning()) {
        Some(Some(beginning)) => writeln!(out, "rewrite = {}", quoted(beginning)),
        Some(None) if route.prefix.is_root() => writeln!(out, "rewrite = \"/\""),
        Some(None) => writeln!(out, "strip-prefix = true"),
        None => Ok(()),
    }
}

fn write_headers(headers: &HeaderConfig, out: &mut dyn Write) -> io::Result<()> {
    for (key, changes) in [
        ("request-headers", &headers.request),
        ("response-headers", &headers.response),
    ] {
        let secrets = changes.iter().filter(|change| change.shown().is_none());
        for secret in secrets {
            let name = secret.name();
            writeln!(out, "# {key}: the value of {name} is not shown")?;
        }
        if changes.iter().any(|change| change.shown().is_some()) {
            let parts = [
                removed(changes),
                values("set", ChangeKind::Set, changes),
                values("add", ChangeKind::Add, changes),
            ];
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            writeln!(out, "{key} = {{ {} }}", parts.join(", "))?;
        }
    }
    Ok(())
}

fn removed(changes: &[HeaderChange]) -> Option<String> {
    let names: Vec<_> = changes
        .iter()
        .filter(|change| change.kind() == ChangeKind::Remove)
        .map(HeaderChange::name)
        .collect();
    (!names.is_empty()).then(|| format!("remove = {}", list(&names)))
}

/// One key per field, since a table names each once.
fn values(key: &str, kind: ChangeKind, changes: &[HeaderChange]) -> Option<String> {
    let of_kind = || {
        let of_kind = changes.iter().filter(move |change| change.kind() == kind);
        of_kind.filter(|change| change.shown().is_some())
    };
    let mut fields: Vec<String> = Vec::new();
    let mut done = Vec::new();
    for change in of_kind() {
        if done.contains(&change.name()) {
            continue;
        }
        done.push(change.name());
        let texts: Vec<_> = of_kind()
            .filter(|other| other.name() == change.name())
            .filter_map(HeaderChange::shown)
            .collect();
        let value = match texts.as_slice() {
            [text] => quoted(text),
            texts => list(texts),
        };
        fields.push(format!("{} = {value}", change.name()));
    }
    (!fields.is_empty()).then(|| format!("{key} = {{ {} }}", fields.join(", ")))
}
