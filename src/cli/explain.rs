//! `proxy explain`: the whole effective configuration as a Proxyfile of its own, with what it means.

use std::io::{self, Write};

use crate::config::{
    BalanceText, CertificateSource, Config, ResolverName, SiteAction, SiteConfig, UpstreamTls,
    format_size,
};

use super::command_line::Failure;
use super::source::Source;
use super::values::{duration, list, quoted};

pub(super) fn execute(source: Source, out: &mut dyn Write) -> Result<(), Failure> {
    let loaded = source.load()?;
    let origin = loaded.path.map_or_else(
        || "the command line".to_owned(),
        |path| path.display().to_string(),
    );
    write_config(&loaded.config, &origin, out)?;
    Ok(())
}

fn write_config(config: &Config, origin: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "# All that holds for {origin}, defaults included. This listing is a Proxyfile itself."
    )?;
    writeln!(
        out,
        "# Behind each value stands who set it: default, file or flag (or its environment variable)."
    )?;
    let mut listing = Listing { config, out };
    listing.write_top()?;
    listing.write_issuers()?;
    listing.write_listen()?;
    listing.write_limits()?;
    listing.write_upstreams()?;
    listing.write_log()?;
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
        self.value("resolvers", &list(&resolvers))
    }

    fn write_issuers(&mut self) -> io::Result<()> {
        for issuer in &self.config.issuers {
            self.section("[[issuers]]")?;
            self.value("issuers.directory", &quoted(&issuer.directory))?;
            if let Some(root) = &issuer.root {
                self.value("issuers.root", &quoted(root.display()))?;
            }
        }
        Ok(())
    }

    fn write_listen(&mut self) -> io::Result<()> {
        self.section("[listen]")?;
        self.value("listen.http", &quoted(self.config.listen.http))?;
        self.value("listen.https", &quoted(self.config.listen.https))
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
        self.value("limits.streams", &limits.streams.to_string())
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
    writeln!(out, "\n# Requests {}.", describe_action(&site.action))?;
    writeln!(
        out,
        "# Certificate: {}.",
        describe_certificate(site, config)
    )?;
    writeln!(out, "[sites.{}]", quoted(&site.pattern))?;
    match &site.action {
        SiteAction::Upstream { addresses, options } => {
            let balance = BalanceText::new(options);
            writeln!(out, "upstream = {}", balance.upstream(addresses))?;
            for line in balance.lines(addresses) {
                writeln!(out, "{line}")?;
            }
            writeln!(
                out,
                "upstream-options = {{ connect-timeout = {}, response-timeout = {}, idle-timeout = {}{}{} }}",
                duration(options.connect_timeout),
                duration(options.response_timeout),
                duration(options.idle_timeout),
                balance.inline(),
                UpstreamTls::used(addresses, options)
                    .map_or_else(String::new, |tls| format!(", tls = {tls}")),
            )?;
        }
        SiteAction::Redirect { to } => writeln!(out, "redirect = {}", quoted(to))?,
    }
    if let Some(on_demand) = &site.on_demand {
        writeln!(out, "on-demand = {{ ask = {} }}", quoted(&on_demand.ask))?;
    }
    if let Some(tls) = &site.tls {
        let (cert, key) = (quoted(tls.cert.display()), quoted(tls.key.display()));
        writeln!(out, "tls = {{ cert = {cert}, key = {key} }}")?;
    }
    match site.default {
        true => writeln!(out, "default = true"),
        false => Ok(()),
    }
}

fn describe_action(action: &SiteAction) -> String {
    match action {
        SiteAction::Upstream { addresses, .. } => match addresses.as_slice() {
            [address] => format!("go to {address}"),
            _ => format!("are balanced over {} addresses", addresses.len()),
        },
        SiteAction::Redirect { to } => format!("are redirected to {to}"),
    }
}

fn describe_certificate(site: &SiteConfig, config: &Config) -> String {
    let directory = config
        .issuers
        .first()
        .map_or("", |issuer| issuer.directory.as_str());
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
        preflight = false
        resolvers = ["9.9.9.9", "system", "[2620:fe::9]:5353"]
        [[issuers]]
        directory = "https://ca.example.com/dir"
        root = "/etc/ca.pem"
        [limits]
        idle-timeout = "90s"
        head-size = "16k"
        [sites]
        "www.example.org" = ["10.0.0.1:3000", "[fd00::2]:3000"]
        "example.org" = { redirect = "https://www.example.org", default = true }
        "app.localhost" = { upstream = "localhost:3000", upstream-options = { response-timeout = "1h 2s 5ms" } }
        "many.example.org" = { upstream = ["a:1", { address = "b:1", weight = 3, max-connections = 9 }], balance = "cookie", health = { path = "/up", expect = "2xx", host = "app:1", fall = 7 }, upstream-options = { max-connections = 50, queue = 0, max-fails = 0, eject-status = 503, slow-start = "0s", retries = 0, retry-budget = "5%", cookie-name = "id", cookie-key = "env:CARGO_PKG_DESCRIPTION" } }
        "*.example.net" = { upstream = "4000", on-demand = { ask = "http://localhost:4000/ok?a=\"b" } }
        "files.example.org" = { upstream = "5000", tls = { cert = "/a b/\"c.pem", key = "/k.pem" } }
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
        assert_eq!(again.email, config.email);
        assert_eq!(again.issuers, config.issuers);
        assert_eq!(again.preflight, config.preflight);
        assert_eq!(again.resolver, config.resolver);
        assert_eq!(again.listen, config.listen);
        assert_eq!(again.limits, config.limits);
        assert_eq!(again.upstreams, config.upstreams);
        assert_eq!(again.log, config.log);
        assert_eq!(again.sites, config.sites);
    }

    #[test]
    fn the_listing_says_who_set_what_and_what_happens() {
        let listing = explain(&load(FILE));
        for line in [
            "idle-timeout = \"1m 30s\" # file",
            "body-timeout = \"1m\" # default",
            "# Requests are balanced over 2 addresses.",
            "# Requests are redirected to https://www.example.org/.",
            "# Certificate: from https://ca.example.com/dir, renewed by itself.",
        ] {
            assert!(
                listing.lines().any(|found| squeezed(found) == line),
                "{line}\n{listing}"
            );
        }
    }
}
