//! `proxy explain`: the whole effective configuration as a Proxyfile of its own, with what it means.

use std::io::{self, Write};

use crate::config::{
    BalanceText, CertificateSource, Config, ResolverName, SiteConfig, UpstreamTls, format_dns,
    format_size,
};

use super::comforts;
use super::explain_client as client;
use super::failure::Failure;
use super::source::Source;
use super::values::{duration, list, quoted};
use super::{explain_guards, explain_routes};

pub(super) fn execute(source: Source, out: &mut dyn Write) -> Result<(), Failure> {
    let loaded = source.load()?;
    let origin = loaded.file.map_or_else(
        || "the command line".to_owned(),
        |file| file.path().display().to_string(),
    );
    write_config(&loaded.config, &origin, out)?;
    Ok(())
}

fn write_config(config: &Config, origin: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "# All that holds for {origin}, defaults included. This listing is a Proxyfile itself, but for its secrets."
    )?;
    writeln!(
        out,
        "# Behind each value stands who set it: default, file or flag (or its environment variable)."
    )?;
    let mut listing = Listing { config, out };
    listing.write_top()?;
    listing.write_issuers()?;
    listing.write_internal_ca()?;
    listing.write_listen()?;
    listing.write_limits()?;
    listing.write_upstreams()?;
    listing.write_log()?;
    comforts::write_access_log(config, listing.out)?;
    for site in &config.sites {
        write_site(site, config, listing.out)?;
    }
    Ok(())
}

struct Listing<'a> {
    config: &'a Config,
    out: &'a mut dyn Write,
}

impl Listing<'_> {
    fn section(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.out, "\n{title}")
    }

    /// One value by its full key, as in `limits.idle-timeout`.
    fn value(&mut self, name: &str, value: &str) -> io::Result<()> {
        let key = name.rsplit('.').next().unwrap_or(name);
        let line = format!("{key} = {value}");
        writeln!(self.out, "{line:<44} # {}", self.config.origins.of(name))
    }

    fn write_top(&mut self) -> io::Result<()> {
        self.section("# Certificates, keys and the memory of failures lie here.")?;
        self.value("storage", &quoted(&self.config.storage))?;
        self.value("admin", &quoted(self.config.admin_path().display()))?;
        match &self.config.metrics {
            Some(address) => self.value("metrics", &quoted(address))?,
            None => writeln!(self.out, "# metrics: served nowhere")?,
        }
        match &self.config.email {
            Some(email) => self.value("email", &quoted(email))?,
            None => writeln!(self.out, "# email: none; the CA cannot reach you")?,
        }
        self.value("preflight", &self.config.preflight.is_on.to_string())?;
        let resolvers: Vec<_> = self
            .config
            .resolver
            .servers
            .iter()
            .copied()
            .map(ResolverName)
            .collect();
        self.value("resolvers", &list(&resolvers))?;
        client::write_trust(self.config, self.out)?;
        self.value("min-tls", &quoted(self.config.min_tls))?;
        match &self.config.on_cert {
            Some(hook) => self.value("on-cert", &quoted(hook.display())),
            None => Ok(()),
        }
    }

    fn write_internal_ca(&mut self) -> io::Result<()> {
        let constraints = &self.config.internal_ca.name_constraints;
        if constraints.is_empty() {
            return Ok(());
        }
        self.section("[internal-ca]")?;
        self.value("internal-ca.name-constraints", &list(constraints))
    }

    fn write_issuers(&mut self) -> io::Result<()> {
        for (index, issuer) in self.config.issuers.iter().enumerate() {
            self.section("[[issuers]]")?;
            self.value("issuers.directory", &quoted(&issuer.directory))?;
            if let Some(root) = &issuer.root {
                self.value("issuers.root", &quoted(root.display()))?;
            }
            self.write_issuer(index)?;
        }
        Ok(())
    }

    /// What is special about an issuer. Its secret is not shown.
    fn write_issuer(&mut self, index: usize) -> io::Result<()> {
        let (issuer, out) = (&self.config.issuers[index], &mut *self.out);
        writeln!(out, "name = {}", quoted(&issuer.name))?;
        if let Some(email) = &issuer.email {
            writeln!(out, "email = {}", quoted(email))?;
        }
        if let Some(account) = &issuer.external_account {
            let key_id = quoted(account.key_id());
            writeln!(
                out,
                "# eab = {{ key-id = {key_id}, hmac-key = … }}; the key is not shown"
            )?;
        }
        if let Some(profile) = &issuer.profile {
            writeln!(out, "profile = {}", quoted(profile))?;
        }
        if let Some(name) = &issuer.preferred_chain {
            writeln!(out, "preferred-chain = {}", quoted(name))?;
        }
        writeln!(out, "key-type = {}", quoted(issuer.key_type))?;
        if !issuer.challenges.is_empty() {
            writeln!(out, "challenges = {}", list(&issuer.challenges))?;
        }
        match &issuer.staging {
            Some(staging) => writeln!(out, "staging = {}", quoted(staging)),
            None => Ok(()),
        }
    }

    fn write_listen(&mut self) -> io::Result<()> {
        self.section("[listen]")?;
        let listen = &self.config.listen;
        let http = client::listener(listen.http, listen.http_proxy_protocol);
        let https = client::listener(listen.https, listen.https_proxy_protocol);
        self.value("listen.http", &http)?;
        self.value("listen.https", &https)
    }

    fn write_limits(&mut self) -> io::Result<()> {
        let limits = &self.config.limits;
        self.section("[limits]")?;
        self.value(
            "limits.handshake-timeout",
            &duration(limits.handshake_timeout),
        )?;
        self.value("limits.header-timeout", &duration(limits.header_timeout))?;
        self.value("limits.idle-timeout", &duration(limits.idle_timeout))?;
        self.value("limits.body-timeout", &duration(limits.body_timeout))?;
        self.value("limits.drain-timeout", &duration(limits.drain_timeout))?;
        self.value("limits.head-size", &quoted(format_size(limits.head_size)))?;
        self.value("limits.head-fields", &limits.head_fields.to_string())?;
        self.value("limits.streams", &limits.streams.to_string())?;
        match limits.connections_per_client {
            Some(count) => self.value("limits.connections-per-client", &count.to_string()),
            None => writeln!(self.out, "# connections-per-client: not limited"),
        }
    }

    fn write_upstreams(&mut self) -> io::Result<()> {
        let options = &self.config.upstreams;
        self.section("[upstreams]")?;
        self.value(
            "upstreams.connect-timeout",
            &duration(options.connect_timeout),
        )?;
        self.value(
            "upstreams.response-timeout",
            &duration(options.response_timeout),
        )?;
        self.value("upstreams.idle-timeout", &duration(options.idle_timeout))?;
        self.value(
            "upstreams.send-proxy",
            &client::send_proxy(options.send_proxy),
        )?;
        for (name, value) in BalanceText::new(options).options() {
            self.value(name, &value)?;
        }
        match UpstreamTls::of(options) {
            Some(tls) => self.value("upstreams.tls", &tls.to_string()),
            None => writeln!(
                self.out,
                "# tls: certificates of https:// upstreams are verified by the system's roots"
            ),
        }
    }

    fn write_log(&mut self) -> io::Result<()> {
        self.section("[log]")?;
        let level = self.config.log.level.as_str().to_ascii_lowercase();
        self.value("log.level", &quoted(level))?;
        self.value("log.format", &quoted(self.config.log.format))
    }
}

fn write_site(site: &SiteConfig, config: &Config, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n# Requests {}.", explain_routes::describe_site(site))?;
    writeln!(
        out,
        "# Certificate: {}.",
        describe_certificate(site, config)
    )?;
    writeln!(out, "[sites.{}]", quoted(&site.pattern))?;
    explain_routes::write_own(site, out)?;
    explain_guards::write(site, out)?;
    if let Some(on_demand) = &site.on_demand {
        let ask = quoted(&on_demand.ask);
        let (network, hour) = (on_demand.names_per_network, on_demand.names_per_hour);
        writeln!(
            out,
            "on-demand = {{ ask = {ask}, names-per-network = {network}, names-per-hour = {hour} }}"
        )?;
    }
    if let Some(issuer) = &site.issuer {
        writeln!(out, "issuer = {}", quoted(issuer))?;
    }
    if let Some(options) = &site.dns {
        writeln!(out, "dns = {}", format_dns(options))?;
    }
    if let Some(tls) = &site.tls {
        let (cert, key) = (quoted(tls.cert.display()), quoted(tls.key.display()));
        writeln!(out, "tls = {{ cert = {cert}, key = {key} }}")?;
    }
    client::write_client_auth(site, out)?;
    writeln!(out, "min-tls = {}", quoted(site.min_tls))?;
    if site.default {
        writeln!(out, "default = true")?;
    }
    comforts::write_site(&site.features, out)?;
    explain_routes::write_routes(site, out)
}

fn describe_certificate(site: &SiteConfig, config: &Config) -> String {
    let issuers = config.issuers.iter();
    let issuers: Vec<_> = issuers
        .filter(|issuer| site.issuer.as_ref().is_none_or(|name| *name == issuer.name))
        .map(|issuer| issuer.directory.as_str())
        .collect();
    let directory = issuers.join(", else from ");
    match site.certificate_source() {
        CertificateSource::Files => {
            "the files below, as they are; renewing them is up to you".to_owned()
        }
        CertificateSource::InternalCa => {
            "the internal CA's, since no public CA signs local names; renewed by itself".to_owned()
        }
        CertificateSource::Issuer => format!("from {directory}, renewed by itself"),
        CertificateSource::OnDemand => format!(
            "one per name from {directory} at its first handshake, if the ask URL allows; local names get the internal CA's"
        ),
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
        metrics = "127.0.0.1:9100"
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
        https = { address = "[::]:443", proxy-protocol = "required" }
        [limits]
        idle-timeout = "90s"
        head-size = "16k"
        [sites]
        "www.example.org" = ["10.0.0.1:3000", "[fd00::2]:3000"]
        "example.org" = { redirect = "https://www.example.org", default = true, compress = false, maintenance = { page = "/m.html", retry-after = "1h" } }
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
        "only.example.org" = { routes = { "/" = { redirect = "https://www.example.org", response-headers = { set = { X-B = "1", X-Key = "env:CARGO_PKG_NAME" } } }, "/x" = "3000" } }
        "files.example.org" = { upstream = "5000", client-auth = { ca = "/clients.pem", mode = "optional" }, tls = { cert = "/a b/\"c.pem", key = "/k.pem" } }
    "#;

    fn load(text: &str) -> Config {
        Config::from_proxyfile(Path::new("Proxyfile"), text, &Flags::default()).unwrap()
    }

    fn squeezed(line: &str) -> String {
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn explain(config: &Config) -> String {
        let mut out = Vec::new();
        write_config(config, "Proxyfile", &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_listing_is_a_proxyfile_that_says_the_same() {
        let config = load(FILE);
        let again = load(&explain(&config));
        assert_eq!(again.storage, config.storage);
        assert_eq!(again.metrics, config.metrics);
        assert_eq!(again.email, config.email);
        assert_eq!(again.resolver, config.resolver);
        assert_eq!(again.issuers, config.issuers);
        assert_eq!(again.preflight, config.preflight);
        assert_eq!(again.resolver, config.resolver);
        assert_eq!(again.internal_ca, config.internal_ca);
        assert_eq!(again.on_cert, config.on_cert);
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
    fn the_listing_says_who_set_what_and_what_happens() {
        let listing = explain(&load(FILE));
        for line in [
            "idle-timeout = \"1m 30s\" # file",
            "body-timeout = \"1m\" # default",
            "# Requests are balanced over 2 addresses.",
            "response-headers = { set = { x-b = \"1\", x-key = \"env:CARGO_PKG_NAME\" } }",
            "# Requests are redirected to https://www.example.org.",
            "# Certificate: from https://ca.example.com/dir, else from https://pki.example.com/dir, renewed by itself.",
            "# Certificate: from https://pki.example.com/dir, renewed by itself.",
        ] {
            assert!(
                listing.lines().any(|found| squeezed(found) == line),
                "{line}\n{listing}"
            );
        }
    }
}
