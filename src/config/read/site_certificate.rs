//! Reads the keys of a site about its certificate.

use crate::certs::challenge::DnsOptions;
use crate::config::model::Config;
use crate::config::report::Problem;
use crate::config::toml::TomlTable;
use crate::config::value::INTERNAL;
use crate::name::HostPattern;
use crate::proxy::HttpMode;

use super::dns_challenge;
use super::site_reader::SiteReader;

/// Keys that have no effect on a site without TLS, besides `client-auth`.
const TLS_KEYS: [&str; 8] = [
    "tls",
    "issuer",
    "dns",
    "on-demand",
    "own-certificate",
    "default",
    "min-tls",
    "early-data",
];

/// The keys about certificates that a site sets.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sources<'a> {
    http: HttpMode,
    on_demand: bool,
    tls: bool,
    dns: bool,
    issuer: Option<&'a str>,
}

impl Sources<'_> {
    /// Returns the keys of a site that sets none itself.
    pub(crate) fn inherited(config: &Config) -> Self {
        Self {
            dns: config.dns.is_some(),
            ..Self::default()
        }
    }
}

/// The names of a site with their offsets in the file.
pub(crate) struct Names<'a> {
    pub(crate) start: usize,
    pub(crate) pattern: Option<&'a HostPattern>,
    pub(crate) aliases: Vec<(usize, &'a HostPattern)>,
}

impl SiteReader<'_, '_> {
    /// Reads and checks `issuer` and `dns`. Checks the other keys about certificates without reading them.
    pub(crate) fn read_certificate(
        &mut self,
        names: &Names<'_>,
        table: &TomlTable<'_>,
        http: HttpMode,
    ) -> (Option<String>, Option<DnsOptions>) {
        let issuers = self.issuers;
        let issuer = table.read("issuer", self.report, |value| {
            parse_issuer(value.string()?, issuers)
        });
        self.check_tls_keys(table, http);
        let sources = Sources {
            http,
            on_demand: table.has("on-demand"),
            tls: table.has("tls"),
            dns: match table.value("dns") {
                Some(value) => !dns_challenge::is_off(value),
                None => self.config.dns.is_some(),
            },
            issuer: issuer.as_deref(),
        };
        if table.has_only_known_keys() {
            self.check_certificate(names.start, names.pattern, sources);
            for (start, alias) in &names.aliases {
                self.check_alias(*start, alias, sources);
            }
        }
        let reader = self.reader(table);
        if let (Some(pattern), Some(value)) = (names.pattern, table.value("dns"))
            && !dns_challenge::is_off(value)
            && let Err(problem) = dns_challenge::check(
                pattern,
                sources.tls,
                self.is_internal(pattern, sources.issuer),
            )
        {
            self.report.at(value.start(), problem.into());
        }
        let dns = if table.has("dns") {
            dns_challenge::read(reader, self.report)
        } else {
            self.inherited_dns(names.pattern, sources)
        };
        (issuer, dns)
    }

    /// Returns the settings of all sites, unless the site cannot use them. Names of an on-demand site are mostly in zones of
    /// other people.
    pub(crate) fn inherited_dns(
        &self,
        pattern: Option<&HostPattern>,
        sources: Sources<'_>,
    ) -> Option<DnsOptions> {
        let pattern = pattern?;
        let is_internal = self.is_internal(pattern, sources.issuer);
        let check = dns_challenge::check(pattern, sources.tls, is_internal);
        let can_use = sources.http != HttpMode::Serve && !sources.on_demand && check.is_ok();
        self.config.dns.clone().filter(|_| can_use)
    }

    /// Whether the internal CA signs for a name of a site with this `issuer`.
    fn is_internal(&self, pattern: &HostPattern, issuer: Option<&str>) -> bool {
        match issuer {
            Some(name) => name == INTERNAL,
            None => self.config.local_names().are_internal(pattern),
        }
    }

    pub(crate) fn check_certificate(
        &mut self,
        start: usize,
        pattern: Option<&HostPattern>,
        sources: Sources<'_>,
    ) {
        let Some(pattern) = pattern else { return };
        if sources.http == HttpMode::Serve {
            return;
        }
        let Sources {
            http: _,
            on_demand,
            tls,
            dns,
            issuer,
        } = sources;
        let is_internal = self.is_internal(pattern, issuer);
        let problem = match pattern {
            _ if on_demand && tls => Problem::OnDemandAndTls,
            _ if issuer.is_some() && tls => Problem::IssuerAndTls,
            HostPattern::Any if !on_demand => Problem::AnyWithoutAsk,
            HostPattern::Exact(_) if on_demand => Problem::OnDemandExact(pattern.clone()),
            HostPattern::Wildcard(_) if !on_demand && !tls && !dns && !is_internal => {
                if pattern.is_local() {
                    Problem::LocalWildcard(pattern.clone())
                } else {
                    Problem::WildcardCertificate(pattern.clone())
                }
            }
            _ => return,
        };
        self.report.at(start, problem);
    }

    /// Reports the keys about TLS of a site that is served over plain HTTP.
    fn check_tls_keys(&mut self, table: &TomlTable<'_>, http: HttpMode) {
        if http == HttpMode::Redirect {
            return;
        }
        if let Some(value) = table.value("client-auth") {
            self.report.at(value.start(), Problem::ClientAuthWithoutTls);
        }
        if http == HttpMode::Both {
            return;
        }
        for key in TLS_KEYS {
            if let Some(value) = table.value(key)
                && !dns_challenge::is_off(value)
            {
                self.report.at(value.start(), Problem::WithoutTls(key));
            }
        }
    }

    /// Checks a wildcard alias. An exact one gets its certificate without `on-demand`.
    fn check_alias(&mut self, start: usize, alias: &HostPattern, sources: Sources<'_>) {
        match alias {
            HostPattern::Exact(_) => {}
            // Already reported for the site itself.
            _ if sources.tls && (sources.on_demand || sources.issuer.is_some()) => {}
            _ => self.check_certificate(start, Some(alias), sources),
        }
    }
}

fn parse_issuer(text: &str, known: &[String]) -> Result<String, Problem> {
    if text == INTERNAL || known.iter().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    Err(Problem::UnknownIssuer {
        text: text.to_owned(),
        known: known.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Flags;

    fn load(site: &str) -> Result<Config, crate::config::Error> {
        let text = format!("storage = \"file:/data\"\n[sites]\n{site}\n");
        Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default())
    }

    #[test]
    fn a_site_without_tls_takes_no_keys_about_tls() {
        for (keys, key) in [
            ("tls = { cert = \"a\", key = \"b\" }", "tls"),
            ("issuer = \"internal\"", "issuer"),
            ("dns = { exec = \"/hook\" }", "dns"),
            ("own-certificate = true", "own-certificate"),
            ("default = true", "default"),
            ("min-tls = \"1.3\"", "min-tls"),
            ("early-data = true", "early-data"),
        ] {
            let site = |http: &str| {
                load(&format!(
                    "\"a.example.org\" = {{ upstream = \":1\", http = \"{http}\", {keys} }}"
                ))
            };
            let message = site("serve").unwrap_err().to_string();
            let wanted = format!("`{key}` has no effect, because `http = \"serve\"`");
            assert!(message.contains(&wanted), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
            site("both").unwrap();
        }
        for http in ["serve", "both"] {
            let site = format!(
                "\"a.example.org\" = {{ upstream = \":1\", http = \"{http}\", client-auth = \"ca.pem\" }}"
            );
            let message = load(&site).unwrap_err().to_string();
            assert!(message.contains("remove `client-auth`"), "{message}");
        }
    }

    #[test]
    fn a_wildcard_without_tls_needs_no_way_to_a_certificate() {
        for name in ["*.example.org", "*"] {
            let site = |http: &str| {
                load(&format!(
                    "\"{name}\" = {{ upstream = \":1\", http = \"{http}\" }}"
                ))
            };
            site("serve").unwrap();
            site("both").unwrap_err();
        }
    }
}
