//! Reads the keys of a site about its certificate.

use crate::certs::challenge::DnsOptions;
use crate::config::model::Config;
use crate::config::report::Problem;
use crate::config::toml::TomlTable;
use crate::config::value::INTERNAL;
use crate::name::HostPattern;

use super::dns_challenge;
use super::site_reader::SiteReader;

/// The keys about certificates that a site sets.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sources<'a> {
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
    ) -> (Option<String>, Option<DnsOptions>) {
        let issuers = self.issuers;
        let issuer = table.read("issuer", self.report, |value| {
            parse_issuer(value.string()?, issuers)
        });
        let sources = Sources {
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
        let can_use = !sources.on_demand && check.is_ok();
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
        let Sources {
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
