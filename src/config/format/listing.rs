//! Lists the effective configuration as a Proxyfile, with the origin and meaning of its values.

use std::fmt::Display;

use crate::config::fields::{self, Field};
use crate::config::model::{Config, SharedWildcards, SiteConfig, scalar_fields};
use crate::config::value::TrustedPeer;

/// Column of the comment after a value.
const COMMENT_COLUMN: usize = 44;

/// Meaning of keys that are not set, by their full names.
const UNSET: [(&str, &str); 9] = [
    ("user", "the one that starts the proxy"),
    ("metrics", "not served"),
    ("page", "not served"),
    ("tracing", "off"),
    ("email", "not set; the CA cannot contact you"),
    ("trust", "no peer"),
    ("upstreams.response-timeout", "1m; none for gRPC"),
    ("upstreams.max-connections", "unlimited"),
    (
        "upstreams.tls",
        "certificates of https:// upstreams are verified with the roots of the system",
    ),
];

/// Lists the configuration as a Proxyfile, which is valid except for its secrets. `source` is the origin to print.
#[must_use]
pub fn explain(config: &Config, source: impl Display) -> String {
    list(config, source, &config.sites)
}

/// Lists the configuration with only some of its sites.
pub(super) fn list<'s>(
    config: &Config,
    source: impl Display,
    sites: impl IntoIterator<Item = &'s SiteConfig>,
) -> String {
    let mut listing = Listing::new(config);
    listing.line(format_args!(
        "# Effective configuration of {source}, including defaults. This listing is a valid Proxyfile, except for its secrets."
    ));
    listing.line("# The comment after a value shows its origin: default, file, or flag (or its environment variable).");
    listing.line("# A site shows only what it does not inherit from the settings of all sites.");
    listing.write_scalar_fields();
    listing.write_issuers();
    let constraints = &config.internal_ca.name_constraints;
    if let Some(constraints) = (fields::name_constraints().write)(constraints) {
        listing.heading("[internal-ca]");
        listing.setting("internal-ca.name-constraints", &constraints);
    }
    listing.write_listen();
    listing.table("limits", &fields::limits(), &config.limits);
    listing.table("upstreams", &fields::upstream_options(), &config.upstreams);
    listing.table("log", &fields::log(), &config.log);
    listing.write_access_log();
    for site in sites {
        listing.write_site(site);
    }
    listing.text
}

/// A listing while it is written.
pub(crate) struct Listing<'a> {
    pub(crate) config: &'a Config,
    pub(crate) shared_wildcards: SharedWildcards<'a>,
    pub(crate) text: String,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(config: &'a Config) -> Self {
        Self {
            config,
            shared_wildcards: SharedWildcards::of(config),
            text: String::new(),
        }
    }

    pub(crate) fn line(&mut self, line: impl Display) {
        self.text.push_str(&format!("{line}\n"));
    }

    /// Writes an empty line, then a comment or the header of a table.
    pub(crate) fn heading(&mut self, heading: impl Display) {
        self.line(format_args!("\n{heading}"));
    }

    /// Writes a key and its value.
    pub(crate) fn entry(&mut self, key: &str, value: impl Into<toml::Value>) {
        self.line(format_args!("{key} = {}", value.into()));
    }

    /// Writes the keys that have a value.
    pub(crate) fn entries<T>(&mut self, fields: &[Field<T>], options: &T) {
        for field in fields {
            if let Some(value) = field.write(options) {
                self.entry(field.key, value);
            }
        }
    }

    /// Writes the keys whose values differ from the inherited ones, which the listing has further up.
    pub(crate) fn own_entries<T>(&mut self, fields: &[Field<T>], options: &T, inherited: &T) {
        for field in fields {
            let value = field.write(options);
            if value != field.write(inherited)
                && let Some(value) = value
            {
                self.entry(field.key, value);
            }
        }
    }

    /// Writes a value and its origin. `name` is the full name of the key, as in `limits.idle-timeout`.
    fn setting(&mut self, name: &str, value: &toml::Value) {
        let (_, key) = name.rsplit_once('.').unwrap_or(("", name));
        let origin = self.config.origins.of(name);
        let entry = format!("{key} = {value}");
        self.line(format_args!("{entry:<COMMENT_COLUMN$} # {origin}"));
    }

    /// Writes the value of a field, or the meaning if it is not set.
    fn field<T>(&mut self, name: &str, field: &Field<T>, options: &T) {
        let unset = UNSET.iter().find(|(unset, _)| *unset == name);
        match (field.write(options), unset) {
            (Some(value), _) => self.setting(name, &value),
            (None, Some((_, meaning))) => self.line(format_args!("# {}: {meaning}", field.key)),
            (None, None) => {}
        }
    }

    fn table<T>(&mut self, section: &str, fields: &[Field<T>], options: &T) {
        self.heading(format_args!("[{section}]"));
        for field in fields {
            self.field(&format!("{section}.{}", field.key), field, options);
        }
    }

    fn write_scalar_fields(&mut self) {
        let config = self.config;
        self.heading("# Data directory: certificates, keys and failure records.");
        for field in scalar_fields() {
            match field.key {
                "admin" => self.setting("admin", &config.admin_path().display().to_string().into()),
                "trust" => {
                    for peer in &config.trust {
                        if let TrustedPeer::Cdn(cdn) = peer {
                            let date = cdn.published();
                            self.line(format_args!("# {peer}: networks as published on {date}"));
                        }
                    }
                    self.field("trust", &field, config);
                }
                key => self.field(key, &field, config),
            }
        }
        for field in fields::features() {
            self.field(field.key, &field, &config.features);
        }
        if let Some(dns) = &config.dns {
            self.setting("dns", &fields::write_dns(dns));
        }
    }

    fn write_issuers(&mut self) {
        for issuer in &self.config.issuers {
            self.heading("[[issuers]]");
            self.setting("issuers.directory", &issuer.directory.as_str().into());
            for field in fields::issuer() {
                match field.write(issuer) {
                    Some(value) if field.key == "root" => self.setting("issuers.root", &value),
                    Some(value) => self.entry(field.key, value),
                    None => {}
                }
            }
            if let Some(account) = &issuer.external_account {
                let key_id = toml::Value::from(account.key_id());
                self.line(format_args!(
                    "# eab = {{ key-id = {key_id}, hmac-key = … }}; the key is not shown"
                ));
            }
        }
    }

    fn write_listen(&mut self) {
        self.heading("[listen]");
        let listen = &self.config.listen;
        for (name, listeners) in [
            ("listen.http", &listen.http),
            ("listen.https", &listen.https),
        ] {
            if let Some(value) = fields::write_listeners(listeners) {
                self.setting(name, &value);
            }
        }
    }

    fn write_access_log(&mut self) {
        let Some(options) = &self.config.access_log else {
            return self.heading("# access-log: none; requests are not logged");
        };
        self.heading("[access-log]");
        for field in fields::access_log_table() {
            match field.write(options) {
                // The origin of the file is that of the whole table.
                Some(file) if field.key == "file" => {
                    let origin = self.config.origins.of("access-log");
                    let entry = format!("file = {file}");
                    self.line(format_args!("{entry:<COMMENT_COLUMN$} # {origin}"));
                }
                Some(value) => self.entry(field.key, value),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Flags;

    const FILE: &str = r#"
        email = "ops@example.org"
        storage = "file:/data"
        user = "proxy"
        metrics = "127.0.0.1:9100"
        page = "[::]:9180"
        page-token = "env:CARGO_PKG_DESCRIPTION"
        tracing = { endpoint = "https://traces.example.com/otlp", root = "/etc/collector.pem", sample = 0.25, headers = { X-Key = "env:PATH" }, service-name = "edge" }
        preflight = false
        access-log = { file = "/var/log/\"a.log", format = "combined", query = false }
        request-id = true
        compress = true
        error-pages = { 5xx = "/5.html", 502 = "/\"502.html" }
        trust = ["10.0.0.0/8", "192.0.2.7", "private", "cloudflare"]
        forwarded = true
        min-tls = "1.3"
        resolvers = ["9.9.9.9", "system", "[2620:fe::9]:5353"]
        on-cert = "/etc/proxy/on-cert"
        on-problem = "/etc/proxy/on-problem"
        watch = true
        http3 = { port = 8443 }
        [internal-ca]
        name-constraints = ["localhost", "10.0.0.0/8"]
        [[issuers]]
        directory = "https://ca.example.com/dir"
        root = "/etc/ca.pem"
        [[issuers]]
        directory = "https://pki.example.com/dir"
        name = "corp"
        email = "pki@example.com"
        profile = "tls"
        preferred-chain = "Root \"X\""
        key-type = "rsa4096"
        challenges = ["dns-01", "http-01"]
        staging = "https://pki.example.com/staging"
        [listen]
        http = { address = "[::]:80", proxy-protocol = "optional" }
        https = [{ address = "[::]:443", proxy-protocol = "required" }, "10.0.0.1:443", { name = "lan", address = "10.0.0.2:0" }]
        [limits]
        idle-timeout = "90s"
        head-size = "16k"
        [sites]
        "www.example.org" = ["10.0.0.1:3000", "[fd00::2]:3000"]
        "example.org" = { redirect = "https://www.example.org", default = true, compress = false, maintenance = { page = "/m.html", retry-after = "1h" } }
        "plain.example.org" = { upstream = "3000", http = "serve" }
        "nas.example.org" = { upstream = "3000", listen = ["lan", "default"] }
        "both.example.org" = { upstream = "3000", http = "both", min-tls = "1.3", early-data = true }
        "corp.test" = { upstream = "3000", issuer = "corp", min-tls = "1.2" }
        "app.localhost" = { upstream = "localhost:3000", upstream-options = { response-timeout = "1h 2s 5ms", send-proxy = "v2" }, access-log = false, request-id = false, compress = { codings = ["br"], types = ["text/*", "a/*+b"], min-size = 7 } }
        "many.example.org" = { upstream = ["a:1", { address = "b:1", weight = 3, max-connections = 9 }, { address = "c:1", weight = 0 }], balance = "cookie", health = { path = "/up", expect = "2xx", host = "app:1", fall = 7 }, upstream-options = { max-connections = 50, queue = 0, max-fails = 0, eject-status = 503, slow-start = "0s", retries = 0, retry-budget = "5%", cookie-name = "id", cookie-key = "env:CARGO_PKG_DESCRIPTION" } }
        "srv.example.org" = ["srv://_http._tcp.app.internal", "srv+https://app.internal", "srv+h2c://_grpc._tcp.app.internal"]
        "*.example.net" = { upstream = "4000", on-demand = { ask = "http://localhost:4000/ok?a=\"b" } }
        "*.home.example.org" = { upstream = "4000", dns = { exec = "/hook \"a", name-servers = ["192.0.2.1", "[::1]:54"], propagation-timeout = "5m" } }
        "*.zone.example.org" = { upstream = "4000", dns = { rfc2136 = { server = "ns1.example.org", key-name = "k", key = "env:PATH", algorithm = "hmac-sha512" } } }
        "*.flare.example.org" = { upstream = "4000", dns = { cloudflare = { token = "env:PATH" } } }
        "*.once.example.org" = { upstream = "4000", dns = "persist" }
        "routes.example.org" = { upstream = "3000", aliases = ["r.example.org"], rewrite = "/app", response-headers = { remove = ["Server"], set = { X-A = "{host}" }, add = { Set-Cookie = ["a=1", "b=2"] } }, routes = { "/api/" = { upstream = "4000", strip-prefix = true, request-headers = { set = { X-Real-IP = "{client}" } } }, "/old" = { redirect = { to = "/new", status = 301 } }, "/gone" = { respond = { status = 410, body = "gone\n" } }, "/static" = { files = "/srv/www", strip-prefix = true }, "/app" = { files = { root = "/srv/app", fallback = "index.html" } }, "/admin" = {} } }
        "guards.example.org" = { upstream = "3000", allow = ["private", "10.0.0.0/8"], satisfy = "any", forward-auth = { url = "http://localhost:9091/", copy-headers = ["Remote-User"] }, client-auth = { ca = "/clients.pem" }, request-timeout = "1m", max-body = "1k", rate-limit = { requests = 1, per = "1s" }, routes = { "/off" = { allow = false, satisfy = "all", client-auth = false, forward-auth = false, request-timeout = false, max-body = false, rate-limit = false }, "/own" = { deny = ["10.0.0.1"], rate-limit = [{ requests = 2, per = "1s" }] }, "/same" = { max-body = "1k" } } }
        "guard.example.org" = { client-auth = { ca = "/clients.pem", mode = "optional" }, routes = { "/" = { upstream = "3000", client-auth = "required" } } }
        "only.example.org" = { routes = { "/" = { redirect = "https://www.example.org", response-headers = { set = { X-B = "1", X-Key = "env:CARGO_PKG_NAME" } } }, "/x" = "3000" } }
        "files.example.org" = { upstream = "5000", client-auth = { ca = "/clients.pem", mode = "optional" }, tls = { cert = "/a b/\"c.pem", key = "/k.pem" } }
    "#;

    fn load(text: &str) -> Config {
        Config::from_proxyfile(Path::new("Proxyfile"), text, &Flags::default()).unwrap()
    }

    fn squeezed(line: &str) -> String {
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_listing_loads_as_the_same_configuration() {
        let config = load(FILE);
        let again = load(&explain(&config, "Proxyfile"));
        assert_eq!(again.storage, config.storage);
        assert_eq!(again.user, config.user);
        assert_eq!(again.metrics, config.metrics);
        assert_eq!(again.page, config.page);
        assert_eq!(again.page_token, config.page_token);
        assert_eq!(again.tracing, config.tracing);
        assert_eq!(again.email, config.email);
        assert_eq!(again.resolver, config.resolver);
        assert_eq!(again.issuers, config.issuers);
        assert_eq!(again.preflight, config.preflight);
        assert_eq!(again.resolver, config.resolver);
        assert_eq!(again.internal_ca, config.internal_ca);
        assert_eq!(again.on_cert, config.on_cert);
        assert_eq!(again.on_problem, config.on_problem);
        assert!(again.watch);
        assert_eq!(again.listen, config.listen);
        assert_eq!(again.trust, config.trust);
        assert_eq!(again.forwarded, config.forwarded);
        assert_eq!(again.min_tls, config.min_tls);
        assert_eq!(again.limits, config.limits);
        assert_eq!(again.upstreams, config.upstreams);
        assert_eq!(again.log, config.log);
        assert_eq!(again.access_log, config.access_log);
        assert_eq!(again.sites, config.sites);
    }

    #[test]
    fn inherited_values_are_listed_once_and_can_be_taken_back() {
        let config = load(
            r#"
            storage = "file:/data"
            request-id = true
            error-pages = { 404 = "/404.html", 502 = "/502.html" }
            [upstreams]
            response-timeout = "5m"
            queue = 7
            tls = { sni = "app.internal" }
            [sites]
            "a.example.org" = "https://app"
            "b.example.org" = { upstream = "https://app", request-id = false, error-pages = { 502 = "/b.html" }, upstream-options = { tls = {} } }
            "c.example.org" = { upstream = ["a:1", { address = "b:1", weight = 3 }], balance = "cookie", health = "/up", upstream-options = { queue = 8 }, routes = { "/same" = { max-body = "1k" }, "/other" = { upstream-options = { queue = 7 } }, "/own" = ["a:1", "b:1"] } }
            "d.example.org" = { files = "/srv/www", routes = { "/same" = {}, "/app" = "3000" } }
            "e.example.org" = { redirect = { to = "https://a.example.org/new", append = false }, routes = { "/old" = { redirect = { to = "https://a.example.org/new", append = false } } } }
            "f.example.org" = { upstream = "3000", upstream-options = { response-timeout = "5m", idle-timeout = "1s" } }
            "#,
        );
        let listing = explain(&config, "Proxyfile");
        let again = load(&listing);
        assert_eq!(again.features, config.features);
        assert_eq!(again.upstreams, config.upstreams);
        assert_eq!(again.sites, config.sites, "{listing}");
        for (text, count) in [
            ("\"5m\"", 1),
            ("app.internal", 1),
            ("request-id", 2),
            ("404.html", 1),
            ("/502.html", 1),
            ("queue = 7", 2),
            ("queue = 8", 1),
            ("tls = {}", 1),
            ("health", 1),
            ("/srv/www\"", 1),
        ] {
            assert_eq!(listing.matches(text).count(), count, "{text}: {listing}");
        }
    }

    #[test]
    fn the_listing_shows_origins_and_descriptions() {
        let listing = explain(&load(FILE), "Proxyfile");
        for line in [
            "idle-timeout = \"1m 30s\" # file",
            "body-timeout = \"1m\" # default",
            "# Requests are balanced over 2 addresses.",
            "response-headers = { set = { x-b = \"1\", x-key = \"env:CARGO_PKG_NAME\" } }",
            "# Requests are redirected to https://www.example.org.",
            "# Certificate: from https://ca.example.com/dir, else from https://pki.example.com/dir, renewed automatically.",
            "# Certificate: none, because the site is served over plain HTTP.",
            "# Certificate: from https://pki.example.com/dir, because `issuer` says so, renewed automatically.",
        ] {
            assert!(
                listing.lines().any(|found| squeezed(found) == line),
                "{line}\n{listing}"
            );
        }
    }
}
