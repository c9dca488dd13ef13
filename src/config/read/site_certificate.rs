//! Where a site's certificate comes from, as its table says it.

use crate::certs::challenge::DnsOptions;
use crate::certs::{OnDemandOptions, TlsFiles};
use crate::config::model::INTERNAL;
use crate::config::report::Problem;
use crate::config::value::{TomlTable, TomlValue, parse_ask, parse_count};
use crate::name::HostPattern;

use super::dns::{self, DnsReader};
use super::site_reader::{KEYS, SiteReader};

/// Where the certificate of a site is said to come from.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sources<'a> {
    on_demand: bool,
    tls: bool,
    dns: bool,
    issuer: Option<&'a str>,
}

/// The names of a site with where they stand in the file.
pub(crate) struct Names<'a> {
    pub(crate) start: usize,
    pub(crate) pattern: Option<&'a HostPattern>,
    pub(crate) aliases: Vec<(usize, &'a HostPattern)>,
}

/// What a site says about its certificate.
pub(crate) struct CertificateKeys {
    pub(crate) on_demand: Option<OnDemandOptions>,
    pub(crate) issuer: Option<String>,
    pub(crate) dns: Option<DnsOptions>,
    pub(crate) tls: Option<TlsFiles>,
}

impl SiteReader<'_, '_> {
    pub(crate) fn read_certificate(
        &mut self,
        names: &Names<'_>,
        table: &mut TomlTable<'_>,
    ) -> CertificateKeys {
        let issuers = self.issuers;
        let issuer = table.read("issuer", self.report, |value| {
            parse_issuer(value.string()?, issuers)
        });
        let sources = Sources {
            on_demand: table.value("on-demand").is_some(),
            tls: table.value("tls").is_some(),
            dns: table.value("dns").is_some(),
            issuer: issuer.as_deref(),
        };
        if table.has_only(KEYS) {
            self.check_certificate(names.start, names.pattern, sources);
            for (start, alias) in &names.aliases {
                self.check_alias(*start, alias, sources);
            }
        }
        let on_demand = table
            .read("on-demand", self.report, TomlValue::table)
            .and_then(|table| self.read_on_demand(table));
        let has_files = sources.tls;
        let dns = table.value("dns");
        let dns = dns.and_then(|value| self.read_dns(names.pattern, has_files, value));
        let tls = table
            .read("tls", self.report, TomlValue::table)
            .and_then(|table| self.read_tls(table));
        CertificateKeys {
            on_demand,
            issuer,
            dns,
            tls,
        }
    }

    fn read_on_demand(&mut self, mut table: TomlTable<'_>) -> Option<OnDemandOptions> {
        let key = (
            "ask",
            "on-demand = { ask = \"http://localhost:4000/allowed\" }",
        );
        let options = table.require(key, self.report, |value| parse_ask(value.string()?));
        let mut count = |key, default: fn(&OnDemandOptions) -> u16| {
            let read = |value: &TomlValue<'_>| parse_count(&value.text("a number")?);
            let count = table.read(key, self.report, read);
            count.or_else(|| options.as_ref().map(default))
        };
        let names_per_network = count("names-per-network", |options| options.names_per_network);
        let names_per_hour = count("names-per-hour", |options| options.names_per_hour);
        table.finish(self.report);
        Some(OnDemandOptions {
            ask: options?.ask,
            names_per_network: names_per_network?,
            names_per_hour: names_per_hour?,
        })
    }

    fn read_dns(
        &mut self,
        pattern: Option<&HostPattern>,
        has_files: bool,
        value: TomlValue<'_>,
    ) -> Option<DnsOptions> {
        if let Some(problem) = pattern.and_then(|it| dns::check(it, has_files).err()) {
            self.report.at(value.start(), problem.into());
        }
        let mut reader = DnsReader {
            folder: self.folder,
            report: self.report,
        };
        reader.read(value)
    }

    fn read_tls(&mut self, mut table: TomlTable<'_>) -> Option<TlsFiles> {
        let example = "tls = { cert = \"cert.pem\", key = \"key.pem\" }";
        let folder = self.folder;
        let file = |value: &TomlValue<'_>| Ok(folder.join(value.string()?));
        let cert = table.require(("cert", example), self.report, file);
        let key = table.require(("key", example), self.report, file);
        table.finish(self.report);
        Some(TlsFiles {
            cert: cert?,
            key: key?,
        })
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
        let is_internal = issuer.map_or_else(|| pattern.is_local(), |name| name == INTERNAL);
        let problem = match pattern {
            _ if on_demand && tls => Problem::OnDemandAndTls,
            _ if issuer.is_some() && tls => Problem::IssuerAndTls,
            HostPattern::Any if !on_demand => Problem::AnyWithoutAsk,
            HostPattern::Exact(_) if on_demand => Problem::OnDemandExact(pattern.clone()),
            HostPattern::Wildcard(_) if !on_demand && !tls && !dns && !is_internal => {
                Problem::WildcardCertificate(pattern.clone())
            }
            _ => return,
        };
        self.report.at(start, problem);
    }

    /// A single name beside a wildcard gets its certificate without being asked about.
    fn check_alias(&mut self, start: usize, alias: &HostPattern, sources: Sources<'_>) {
        match alias {
            HostPattern::Exact(_) => {}
            // Told once, of the site itself.
            _ if sources.tls && (sources.on_demand || sources.issuer.is_some()) => {}
            _ => self.check_certificate(start, Some(alias), sources),
        }
    }
}

fn parse_issuer(text: &str, known: &[String]) -> Result<String, Problem> {
    match text == INTERNAL || known.iter().any(|name| name == text) {
        true => Ok(text.to_owned()),
        false => Err(Problem::UnknownIssuer {
            text: text.to_owned(),
            known: known.to_vec(),
        }),
    }
}
