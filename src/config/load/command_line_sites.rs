//! The sites of a command line without a Proxyfile.

use std::iter;

use crate::certs::{LocalNames, OnDemandOptions};
use crate::config::model::{Config, Flags, RouteConfig, SiteAction, SiteConfig};
use crate::config::report::{Location, Problem, Report};
use crate::config::value::parse_ask;
use crate::name::HostPattern;
use crate::upstream::Address;

/// Creates one site per domain, and the site `*` if an ask endpoint is set.
pub(crate) fn read_sites(
    flags: &Flags,
    config: &Config,
    report: &mut Report<'_>,
) -> Vec<SiteConfig> {
    if flags.upstream.is_empty() {
        report.add(Location::CommandLine, Problem::NoUpstream);
    }
    if flags.domain.is_empty() && flags.on_demand_ask.is_none() {
        report.add(Location::CommandLine, Problem::NoDomain);
    }
    let default = config.site(HostPattern::Any);
    let conflicts = config.address_conflicts().into_iter();
    let problems = conflicts
        .chain(config.unserved(&default.listen, default.http))
        .chain(config.unused_listeners(iter::once(&default)));
    for problem in problems {
        report.add(Location::CommandLine, problem.into());
    }
    if let Some(problem) = config.shared_metrics() {
        report.flag("--metrics", problem.into());
    }
    let addresses = read_upstreams(flags, config, report);
    let on_demand = read_ask(flags, report);
    read_patterns(flags, config.local_names(), report)
        .into_iter()
        .map(|pattern| SiteConfig {
            on_demand: on_demand
                .clone()
                .filter(|_| !matches!(pattern, HostPattern::Exact(_))),
            routes: vec![RouteConfig::whole(SiteAction::Upstream {
                addresses: addresses.clone(),
                options: config.upstreams.clone(),
            })],
            ..config.site(pattern)
        })
        .collect()
}

fn read_upstreams(flags: &Flags, config: &Config, report: &mut Report<'_>) -> Vec<Address> {
    let mut addresses = Vec::new();
    for text in &flags.upstream {
        match Address::parse(text) {
            Ok(address) if config.listens_on(&address) => {
                report.flag("--upstream", Problem::OwnAddress(address));
            }
            Ok(address) if addresses.contains(&address) => {
                report.flag("--upstream", Problem::SameAddress(address));
            }
            Ok(address) => addresses.push(address),
            Err(error) => report.flag("--upstream", error.into()),
        }
    }
    addresses
}

fn read_ask(flags: &Flags, report: &mut Report<'_>) -> Option<OnDemandOptions> {
    let ask = parse_ask(flags.on_demand_ask.as_deref()?);
    let ask = report.accept_flag("--on-demand-ask", ask);
    ask.map(OnDemandOptions::new)
}

fn read_patterns(
    flags: &Flags,
    local_names: LocalNames,
    report: &mut Report<'_>,
) -> Vec<HostPattern> {
    let mut patterns = Vec::new();
    let mut add = |pattern| {
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    };
    let has_ask = flags.on_demand_ask.is_some();
    for name in &flags.domain {
        match HostPattern::parse(name) {
            Ok(HostPattern::Exact(name)) => add(name.into()),
            Ok(pattern) if has_ask || local_names.are_internal(&pattern) => add(pattern),
            Ok(pattern) => report.flag("--domain", Problem::WildcardWithoutAsk(pattern)),
            Err(error) => report.flag(
                "--domain",
                Problem::SiteName {
                    name: name.clone(),
                    error,
                },
            ),
        }
    }
    if has_ask {
        add(HostPattern::Any);
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CertificateSource;

    fn flags(upstream: &[&str], domain: &[&str], ask: Option<&str>) -> Flags {
        Flags {
            upstream: upstream.iter().map(|text| (*text).to_owned()).collect(),
            domain: domain.iter().map(|text| (*text).to_owned()).collect(),
            on_demand_ask: ask.map(str::to_owned),
            storage: Some("file:/data".to_owned()),
            ..Flags::default()
        }
    }

    #[test]
    fn every_domain_is_a_site_with_all_upstreams() {
        let domains = [
            "www.Example.org",
            "example.org",
            "www.example.org",
            "localhost",
        ];
        let config =
            Config::from_quick(&flags(&["3000", "10.0.0.2:3000"], &domains, None)).unwrap();
        let sites: Vec<_> = config
            .sites
            .iter()
            .map(|site| {
                let source = site.certificate_source_of(&site.pattern, config.local_names());
                (site.pattern.to_string(), source)
            })
            .collect();
        assert_eq!(
            sites,
            [
                ("www.example.org".to_owned(), CertificateSource::Issuer),
                ("example.org".to_owned(), CertificateSource::Issuer),
                ("localhost".to_owned(), CertificateSource::InternalCa),
            ]
        );
        for site in &config.sites {
            let SiteAction::Upstream { addresses, .. } = &site.routes[0].action else {
                panic!("{site:?}");
            };
            assert_eq!(
                format!("{addresses:?}"),
                r#"["localhost:3000", "10.0.0.2:3000"]"#
            );
        }
    }

    #[test]
    fn an_ask_url_adds_a_site_for_all_names() {
        let ask = Some("http://localhost:4000/allowed");
        let config = Config::from_quick(&flags(&["3000"], &["example.org"], ask)).unwrap();
        let sites: Vec<_> = config
            .sites
            .iter()
            .map(|site| (site.pattern.to_string(), site.on_demand.is_some()))
            .collect();
        assert_eq!(
            sites,
            [("example.org".to_owned(), false), ("*".to_owned(), true)]
        );
    }

    #[test]
    fn all_invalid_flags_are_reported_together() {
        let mut bad = flags(
            &["ftp://app:1", "localhost:443"],
            &["a b", "*.example.org"],
            Some("localhost:4000"),
        );
        bad.domain.push("*".to_owned());
        bad.email = Some("ops".to_owned());
        bad.listen_http = vec!["localhost:80".to_owned()];
        bad.storage = Some("redis://cache".to_owned());
        bad.log_level = Some("loud".to_owned());
        bad.staging = true;
        bad.acme_directory = Some("http://ca/dir".to_owned());
        let message = Config::from_quick(&bad).unwrap_err().to_string();
        let starts: Vec<_> = message
            .lines()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(
            starts,
            [
                "`--staging`",
                "--acme-directory:",
                "--email:",
                "--listen-http:",
                "--storage:",
                "--log-level:",
                "--upstream:",
                "--upstream:",
                "--on-demand-ask:",
                "--domain:",
            ],
            "{message}"
        );
    }

    #[test]
    fn missing_and_repeated_flags_are_reported() {
        for (given, wanted) in [
            (flags(&["3000"], &[], None), "add `--domain NAME`"),
            (flags(&[], &["example.org"], None), "add `--upstream ADDR`"),
            (
                flags(&["3000"], &["*.example.org"], None),
                "add `--on-demand-ask URL`",
            ),
            (
                flags(&["3000", "localhost:3000"], &["example.org"], None),
                "`localhost:3000` is listed twice",
            ),
            (flags(&["3000"], &["*"], None), "add `--on-demand-ask URL`"),
        ] {
            let message = Config::from_quick(&given).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}
