//! Lists sites and their routes.

use crate::certs::LocalNames;
use crate::config::fields::{self, write_table};
use crate::config::model::{
    CertificateSource, Config, HeaderConfig, RouteConfig, SiteAction, SiteConfig,
    site_scalar_fields,
};
use crate::listener_names::DEFAULT_LISTENER;
use crate::name::HostPattern;
use crate::proxy::{ChangeKind, HeaderChange};
use crate::upstream::{Address, BalanceMethod, BalanceOptions, Options, Protocol, Share};

use super::listing::Listing;

impl Listing<'_> {
    pub(crate) fn write_site(&mut self, site: &SiteConfig) {
        let own = own_route(site);
        let requests = own.map_or_else(
            || "are routed by path".to_owned(),
            |own| describe_action(&own.action),
        );
        self.heading(format_args!("# Requests {requests}."));
        let certificate = self.describe_certificate(site, &site.pattern);
        self.line(format_args!("# Certificate: {certificate}."));
        for alias in &site.aliases {
            let other = self.describe_certificate(site, alias);
            if other != certificate {
                self.line(format_args!("# Certificate of {alias}: {other}."));
            }
        }
        self.line(format_args!("[sites.{}]", quoted(&site.pattern)));
        if !site.aliases.is_empty() {
            let aliases: Vec<_> = site.aliases.iter().map(quoted).collect();
            self.entry("aliases", aliases);
        }
        if let Some(own) = own {
            self.write_route(own, None);
        }
        self.write_headers(&site.headers);
        if let Some(guards) = &site.guards {
            self.entries(&fields::guards(), guards);
        }
        if let Some(http) = (fields::http_modes().write)(&site.http) {
            self.entry("http", http);
        }
        if site.listen != [DEFAULT_LISTENER] {
            self.entry("listen", site.listen.clone());
        }
        let inherited = self.config.site(site.pattern.clone());
        let mut scalars = site_scalar_fields();
        scalars.retain(|field| site.has_tls() || field.key != "min-tls");
        self.own_entries(&scalars, site, &inherited);
        if let Some(issuer) = &site.issuer {
            self.entry("issuer", issuer.as_str());
        }
        if site.dns != self.config.dns && site.has_tls() {
            let dns = site.dns.as_ref().map(fields::write_dns);
            self.entry("dns", dns.unwrap_or_else(|| false.into()));
        }
        self.write_features(site);
        self.write_routes(site);
    }

    /// Writes the features that differ from those of all sites. Error pages of all sites remain unless the site has one for the
    /// same status.
    fn write_features(&mut self, site: &SiteConfig) {
        let shared = &self.config.features;
        let mut own = site.features.clone();
        own.error_pages
            .retain(|page| !shared.error_pages.contains(page));
        self.own_entries(&fields::site_features(), &own, shared);
        self.own_entries(&fields::features(), &own, shared);
    }

    fn describe_certificate(&self, site: &SiteConfig, name: &HostPattern) -> String {
        match self.shared_wildcards.covering(site, name) {
            Some(wildcard) => format!("that of {wildcard}"),
            None => describe_certificate(site, name, self.config),
        }
    }

    /// Writes the routes of a site as separate tables, which must follow its own keys.
    fn write_routes(&mut self, site: &SiteConfig) {
        let own = usize::from(own_route(site).is_some());
        let inherited = own_route(site).map(|own| &own.action);
        for route in &site.routes[own..] {
            let requests = describe_action(&route.action);
            self.heading(format_args!("# Requests {requests}."));
            let (pattern, prefix) = (quoted(&site.pattern), quoted(&route.prefix));
            self.line(format_args!("[sites.{pattern}.routes.{prefix}]"));
            self.write_route(route, inherited);
            self.write_headers(&route.headers);
            self.write_route_guards(site, route);
        }
    }

    /// Writes the access control of a route where it differs from that of its site.
    fn write_route_guards(&mut self, site: &SiteConfig, route: &RouteConfig) {
        let Some(own) = route.guards.as_deref() else {
            return;
        };
        let of_site = site.guards.as_deref().cloned().unwrap_or_default();
        for field in fields::route_guards() {
            let (own, of_site) = (field.write(own), field.write(&of_site));
            if own != of_site {
                self.entry(field.key, own.unwrap_or_else(|| false.into()));
            }
        }
    }

    /// Writes what a route does. A route without an action has the `inherited` one, that of its site.
    fn write_route(&mut self, route: &RouteConfig, inherited: Option<&SiteAction>) {
        match &route.action {
            SiteAction::Upstream { addresses, options } => {
                self.write_upstream(addresses, options, inherited);
            }
            SiteAction::Redirect(redirect) => {
                let table = write_table(&fields::redirect(), redirect.options());
                self.entry("redirect", table);
            }
            action if Some(action) == inherited => {}
            SiteAction::Respond(fixed) => {
                let table = [
                    ("status", i64::from(fixed.status().as_u16()).into()),
                    ("body", fixed.body().into()),
                    ("content-type", fixed.content_type().into()),
                ];
                self.entry("respond", toml::Table::from_iter(table.map(owned)));
            }
            SiteAction::Files(files) => {
                let root = toml::Value::from(files.root().display().to_string());
                match files.fallback() {
                    None => self.entry("files", root),
                    Some(fallback) => {
                        let table = [("root", root), ("fallback", fallback.into())];
                        self.entry("files", toml::Table::from_iter(table.map(owned)));
                    }
                }
            }
        }
        self.write_rewrite(route);
    }

    fn write_rewrite(&mut self, route: &RouteConfig) {
        match route.rewrite.as_ref().map(|rewrite| rewrite.beginning()) {
            Some(Some(beginning)) => self.entry("rewrite", beginning.as_str()),
            Some(None) if route.prefix.is_root() => self.entry("rewrite", "/"),
            Some(None) => self.entry("strip-prefix", true),
            None => {}
        }
    }

    fn write_upstream(
        &mut self,
        addresses: &[Address],
        options: &Options,
        inherited: Option<&SiteAction>,
    ) {
        let (shared_addresses, shared) = match inherited {
            Some(SiteAction::Upstream { addresses, options }) => (addresses.as_slice(), options),
            _ => (&[][..], &self.config.upstreams),
        };
        if addresses != shared_addresses || !is_balanced_alike(options, shared) {
            self.write_backends(addresses, &options.balancing);
        }
        let shared = write_table(&fields::upstream_options(), shared);
        let mut table = write_table(&fields::upstream_options(), options);
        let mut protocols = addresses.iter().map(Address::protocol);
        if !protocols.any(|protocol| protocol == Protocol::Https) {
            table.remove("tls");
        } else if shared.contains_key("tls") {
            // An empty table takes away what is inherited.
            let none = || toml::Table::new().into();
            table.entry("tls").or_insert_with(none);
        }
        table.retain(|key, value| shared.get(key) != Some(value));
        if !table.is_empty() {
            self.entry("upstream-options", table);
        }
    }

    /// Writes the addresses of an upstream and how it balances over them.
    fn write_backends(&mut self, addresses: &[Address], balancing: &BalanceOptions) {
        let BalanceOptions { method, health, .. } = balancing;
        let entries = addresses.iter().enumerate();
        let entries: Vec<_> = entries
            .map(|(index, address)| write_address(address, balancing.share(index)))
            .collect();
        self.entry("upstream", entries);
        if addresses.len() > 1 || *method != BalanceMethod::default() {
            self.entry("balance", method.to_string());
        }
        if let Some(health) = (fields::health().write)(health) {
            self.entry("health", health);
        }
    }

    fn write_headers(&mut self, headers: &HeaderConfig) {
        for (key, changes) in [
            ("request-headers", &headers.request),
            ("response-headers", &headers.response),
        ] {
            for secret in changes.iter().filter(|change| change.shown().is_none()) {
                let name = secret.name();
                self.line(format_args!("# {key}: the value of {name} is not shown"));
            }
            let table = write_changes(changes);
            if !table.is_empty() {
                self.entry(key, table);
            }
        }
    }
}

/// Returns true if both have the same weights, method and health checks, which only an `upstream` of its own changes.
fn is_balanced_alike(one: &Options, other: &Options) -> bool {
    let (one, other) = (&one.balancing, &other.balancing);
    one.method == other.method && one.health == other.health && one.shares == other.shares
}

/// Returns the first route if the keys of the site itself can express it.
fn own_route(site: &SiteConfig) -> Option<&RouteConfig> {
    let first = site.routes.first()?;
    let is_own = first.prefix.is_root()
        && first.headers == HeaderConfig::default()
        && first.guards.is_none();
    is_own.then_some(first)
}

fn describe_action(action: &SiteAction) -> String {
    match action {
        SiteAction::Upstream { addresses, .. } => match addresses.as_slice() {
            [address] => format!("go to {address}"),
            _ => format!("are balanced over {} addresses", addresses.len()),
        },
        SiteAction::Redirect(redirect) => format!("are redirected to {}", redirect.options().to),
        SiteAction::Respond(fixed) => {
            format!("are answered with status {}", fixed.status().as_u16())
        }
        SiteAction::Files(files) => format!("get files from {}", files.root().display()),
    }
}

/// Says where the certificate of one of the names comes from, and why.
fn describe_certificate(site: &SiteConfig, name: &HostPattern, config: &Config) -> String {
    let issuers = config.issuers.iter();
    let issuers: Vec<_> = issuers
        .filter(|issuer| site.issuer.as_ref().is_none_or(|name| *name == issuer.name))
        .map(|issuer| issuer.directory.as_str())
        .collect();
    let directory = issuers.join(", else from ");
    let local_names = config.local_names();
    match site.certificate_source_of(name, local_names) {
        CertificateSource::None => "none, because the site is served over plain HTTP".to_owned(),
        CertificateSource::Files => "from the files below; you must renew them yourself".to_owned(),
        CertificateSource::InternalCa => {
            let reason = if site.issuer.is_some() {
                "`issuer` says so"
            } else if name.is_loopback() {
                "the name only leads to this machine"
            } else {
                "no public CA signs local names, and not all issuers are private"
            };
            format!("from the internal CA, because {reason}; renewed automatically")
        }
        CertificateSource::Issuer => {
            let reason = match &site.issuer {
                Some(_) => ", because `issuer` says so",
                None if name.is_local() => {
                    ", because all issuers are private and may sign local names"
                }
                None => "",
            };
            format!("from {directory}{reason}, renewed automatically")
        }
        CertificateSource::OnDemand => {
            let local = match local_names {
                _ if site.issuer.is_some() => "",
                LocalNames::ByInternalCa => "; local names use the internal CA",
                LocalNames::ByPrivateCas => {
                    "; names that only lead to this machine use the internal CA"
                }
            };
            format!(
                "one per name from {directory}, at the first handshake, if the ask endpoint allows it{local}"
            )
        }
    }
}

fn write_address(address: &Address, share: Share) -> toml::Value {
    if share == Share::default() {
        return address.to_string().into();
    }
    let mut table = toml::Table::new();
    table.insert("address".into(), address.to_string().into());
    table.extend(write_table(&fields::share(), &share));
    table.into()
}

/// Writes the changes without a secret. Each field appears once in a table.
fn write_changes(changes: &[HeaderChange]) -> toml::Table {
    let mut table = toml::Table::new();
    let removed = changes.iter().filter(|it| it.kind() == ChangeKind::Remove);
    let removed: Vec<_> = removed.map(|change| quoted(change.name())).collect();
    if !removed.is_empty() {
        table.insert("remove".to_owned(), removed.into());
    }
    for (key, kind) in [("set", ChangeKind::Set), ("add", ChangeKind::Add)] {
        let mut fields = toml::Table::new();
        for change in changes.iter().filter(|change| change.kind() == kind) {
            let Some(text) = change.shown() else { continue };
            let text = toml::Value::from(text);
            match fields.get_mut(change.name().as_str()) {
                None => drop(fields.insert(change.name().to_string(), text)),
                Some(toml::Value::Array(texts)) => texts.push(text),
                Some(first) => *first = vec![first.clone(), text].into(),
            }
        }
        if !fields.is_empty() {
            table.insert(key.to_owned(), fields.into());
        }
    }
    table
}

fn owned((key, value): (&str, toml::Value)) -> (String, toml::Value) {
    (key.to_owned(), value)
}

/// Returns the value as a TOML string.
fn quoted(value: impl ToString) -> toml::Value {
    value.to_string().into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Flags, hash_password};

    use super::*;

    fn load(text: &str) -> Result<Config, crate::config::Error> {
        let storage = "storage = \"file:/data\"\n[sites]\n";
        let text = format!("{storage}\"www.example.org\" = {{ upstream = \"3000\"\n{text}\n}}");
        Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default())
    }

    fn written(config: &Config) -> String {
        let mut listing = Listing::new(config);
        if let Some(guards) = &config.sites[0].guards {
            listing.entries(&fields::guards(), guards);
        }
        listing.text.replace('\n', ",\n")
    }

    #[test]
    fn listed_guards_load_as_the_same_guards() {
        let config = load(
            r#", allow = ["10.0.0.0/8", "::1"], deny = ["10.1.2.3"],
            forward-auth = { url = "http://localhost:9091/verify?a=b", copy-headers = ["Remote-User"], timeout = "3s" },
            rate-limit = [{ requests = 100, per = "1s", burst = 50 }, { requests = 9, per = "1m", by = "site" }],
            max-body = "10m", limits = { head-size = "16k", head-fields = 50 }, request-timeout = "90s",
            hsts = { max-age = "2y", include-subdomains = true, preload = true }"#,
        );
        let config = config.unwrap();
        let again = load(&format!(", {}", written(&config).trim_end_matches(",\n")));
        assert_eq!(again.unwrap().sites, config.sites);
    }

    #[test]
    fn short_forms_mean_the_same_as_their_tables() {
        let site = |text: &str| {
            let text = format!("storage = \"file:/data\"\n[sites]\n{text}\n");
            let config = Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default());
            config.unwrap().sites
        };
        for (short, long) in [
            (r#""a.test" = ":3000""#, r#""a.test" = "localhost:3000""#),
            (
                r#""a.test" = { respond = 404 }"#,
                r#""a.test" = { respond = { status = 404 } }"#,
            ),
            (
                r#""a.test" = { upstream = ":1", forward-auth = "http://localhost:9091/verify" }"#,
                r#""a.test" = { upstream = ":1", forward-auth = { url = "http://localhost:9091/verify" } }"#,
            ),
            (
                r#""a.test" = { upstream = ":1", hsts = true, client-auth = "ca.pem" }"#,
                r#""a.test" = { upstream = ":1", hsts = "1y", client-auth = { ca = "ca.pem" } }"#,
            ),
            (
                r#""a.test" = { upstream = ":1", hsts = false }"#,
                r#""a.test" = { upstream = ":1" }"#,
            ),
            (
                r#""*.a.test" = { upstream = ":1", on-demand = "http://localhost:4000/ask" }"#,
                r#""*.a.test" = { upstream = ":1", on-demand = { ask = "http://localhost:4000/ask" } }"#,
            ),
            (
                r#""*.example.org" = { upstream = ":1", dns = { cloudflare = "env:PATH" } }"#,
                r#""*.example.org" = { upstream = ":1", dns = { cloudflare = { token = "env:PATH" } } }"#,
            ),
        ] {
            assert_eq!(site(short), site(long), "{short}");
        }
    }

    #[test]
    fn a_site_without_guards_lists_none() {
        assert_eq!(written(&load("").unwrap()), "");
    }

    #[test]
    fn password_hashes_are_not_listed_and_their_placeholder_is_invalid() {
        let hash = hash_password("secret").unwrap();
        let text = format!(", basic-auth = {{ users = {{ anna = \"{hash}\" }}, realm = \"a b\" }}");
        let shown = written(&load(&text).unwrap());
        assert!(shown.contains("anna") && shown.contains("a b"), "{shown}");
        assert!(!shown.contains("argon2"), "{shown}");
        assert!(load(&format!(", {}", shown.trim_end_matches(",\n"))).is_err());
    }
}
