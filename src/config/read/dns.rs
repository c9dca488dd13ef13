//! How a site proves its names in DNS.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use toml::de::DeValue;
use url::Url;

use crate::certs::Secret;
use crate::certs::challenge::{
    CloudflareOptions, DnsMethod, DnsOptions, Rfc2136Options, ServerAddress, TsigAlgorithm,
};
use crate::config::report::{DnsProblem, Problem, Report};
use crate::config::value::{TomlTable, TomlValue, command, read_duration, read_secret};
use crate::name::HostPattern;

const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";
const DNS_PORT: u16 = 53;
const FORMS: &str = "`\"persist\"` or a table, as in `{ exec = \"/etc/proxy/dns-hook\" }`";

fn read_list<T>(
    value: TomlValue<'_>,
    report: &mut Report<'_>,
    parse: impl Fn(&str) -> Option<T>,
    problem: fn(String) -> DnsProblem,
) -> Vec<T> {
    let expected = "a list, as in `[\"192.0.2.53\"]`";
    let values = value.list(expected).unwrap_or_else(|mismatch| {
        report.at(value.start(), mismatch);
        Vec::new()
    });
    let parsed = values.into_iter().filter_map(|value| {
        let parsed = value
            .string()
            .and_then(|text| parse(text).ok_or_else(|| problem(text.to_owned()).into()));
        parsed
            .map_err(|problem| report.at(value.start(), problem))
            .ok()
    });
    parsed.collect()
}

fn parse_address(text: &str) -> Option<SocketAddr> {
    let plain = text.trim_start_matches('[').trim_end_matches(']');
    let ip = plain.parse::<IpAddr>().ok();
    ip.map(|ip| (ip, DNS_PORT).into())
        .or_else(|| text.parse().ok())
}

/// Reads the `dns` of a site.
pub(crate) struct DnsReader<'a, 'r> {
    pub(crate) folder: &'a Path,
    pub(crate) report: &'a mut Report<'r>,
}

impl DnsReader<'_, '_> {
    pub(crate) fn read(&mut self, value: TomlValue<'_>) -> Option<DnsOptions> {
        match value.node() {
            DeValue::String(word) if word == "persist" => Some(DnsOptions::new(DnsMethod::Persist)),
            DeValue::String(word) => {
                let problem = DnsProblem::Word(word.to_string());
                self.report.at(value.start(), problem.into());
                None
            }
            DeValue::Table(_) => self.read_table(value.table().ok()?),
            _ => {
                self.report.at(value.start(), value.mismatch(FORMS));
                None
            }
        }
    }

    fn read_table(&mut self, mut table: TomlTable<'_>) -> Option<DnsOptions> {
        let start = table.start();
        let keys = ["exec", "rfc2136", "cloudflare"];
        let count = keys.map(|key| table.value(key)).iter().flatten().count();
        let folder = self.folder;
        let exec = table.read("exec", self.report, |value| {
            Ok(DnsMethod::Exec(command(folder, value.string()?)))
        });
        let update = table.read("rfc2136", self.report, TomlValue::table);
        let update = update.and_then(|table| self.read_update(table));
        let cloudflare = table.read("cloudflare", self.report, TomlValue::table);
        let cloudflare = cloudflare.and_then(|table| self.read_cloudflare(table));
        let servers = table.value("name-servers");
        let timeout = table.read("propagation-timeout", self.report, read_duration);
        table.finish(self.report);
        match count {
            0 => self.report.at(start, DnsProblem::NoMeans.into()),
            1 => {}
            _ => self.report.at(start, DnsProblem::ManyMeans.into()),
        }
        let mut options = DnsOptions::new(exec.or(update).or(cloudflare)?);
        if let Some(servers) = servers {
            options.name_servers =
                read_list(servers, self.report, parse_address, DnsProblem::NameServer);
        }
        if let Some(timeout) = timeout {
            options.propagation_timeout = timeout;
        }
        Some(options)
    }

    fn read_update(&mut self, mut table: TomlTable<'_>) -> Option<DnsMethod> {
        let folder = self.folder;
        let example = "rfc2136 = { server = \"ns1.example.org\", key-name = \"proxy\", key = \"env:TSIG_KEY\" }";
        let server = table.require(("server", example), self.report, |value| {
            parse_server(value.string()?)
        });
        let key_name = table.require(("key-name", example), self.report, |value| {
            Ok(value.string()?.to_owned())
        });
        let key = table.require(("key", example), self.report, |value| secret(value, folder));
        let algorithm = table.read("algorithm", self.report, |value| {
            parse_algorithm(value.string()?)
        });
        table.finish(self.report);
        Some(DnsMethod::Rfc2136(Rfc2136Options {
            server: server?,
            key_name: key_name?,
            key: key?,
            algorithm: algorithm.unwrap_or(TsigAlgorithm::HmacSha256),
        }))
    }

    fn read_cloudflare(&mut self, mut table: TomlTable<'_>) -> Option<DnsMethod> {
        let folder = self.folder;
        let example = "cloudflare = { token = \"env:CF_TOKEN\" }";
        let token = table.require(("token", example), self.report, |value| {
            secret(value, folder)
        });
        let url = table.read("url", self.report, |value| parse_api(value.string()?));
        table.finish(self.report);
        let known = || Url::parse(CLOUDFLARE).expect("the built-in URL is valid");
        Some(DnsMethod::Cloudflare(CloudflareOptions {
            token: token?,
            url: url.unwrap_or_else(known),
        }))
    }
}

fn secret(value: &TomlValue<'_>, folder: &Path) -> Result<Secret, Problem> {
    read_secret(value.string()?, folder)
}

fn parse_server(text: &str) -> Result<ServerAddress, Problem> {
    let problem = || Problem::from(DnsProblem::Server(text.to_owned()));
    let (host, port) = match parse_address(text) {
        Some(address) => (address.ip().to_string(), address.port()),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host.to_owned(), port.parse().map_err(|_| problem())?),
            None => (text.to_owned(), DNS_PORT),
        },
    };
    match crate::name::HostName::parse(&host) {
        Ok(_) => Ok(ServerAddress { host, port }),
        Err(_) => Err(problem()),
    }
}

fn parse_algorithm(text: &str) -> Result<TsigAlgorithm, Problem> {
    match text {
        "hmac-sha256" => Ok(TsigAlgorithm::HmacSha256),
        "hmac-sha384" => Ok(TsigAlgorithm::HmacSha384),
        "hmac-sha512" => Ok(TsigAlgorithm::HmacSha512),
        _ => Err(DnsProblem::Algorithm(text.to_owned()).into()),
    }
}

/// A token is sent in clear to no other machine.
fn parse_api(text: &str) -> Result<Url, Problem> {
    let url = Url::parse(text).ok().filter(|url| {
        let is_here = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        url.scheme() == "https" || (url.scheme() == "http" && is_here)
    });
    url.ok_or_else(|| DnsProblem::Url(text.to_owned()).into())
}

/// Whether the site has any use for `dns`.
pub(crate) fn check(pattern: &HostPattern, has_files: bool) -> Result<(), DnsProblem> {
    match pattern {
        _ if has_files => Err(DnsProblem::Files),
        HostPattern::Exact(name) if name.ip().is_some() => {
            Err(DnsProblem::Address(pattern.clone()))
        }
        _ if pattern.is_local() => Err(DnsProblem::Local(pattern.clone())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_or_a_name_with_or_without_a_port() {
        for (text, server) in [
            ("192.0.2.1", "192.0.2.1:53"),
            ("192.0.2.1:5353", "192.0.2.1:5353"),
            ("2001:db8::1", "[2001:db8::1]:53"),
            ("[2001:db8::1]:54", "[2001:db8::1]:54"),
            ("ns1.example.org", "ns1.example.org:53"),
            ("ns1.example.org:54", "ns1.example.org:54"),
        ] {
            assert_eq!(parse_server(text).unwrap().to_string(), server);
        }
        for text in ["", "a b", "ns1:port", "https://ns1"] {
            assert!(parse_server(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_token_goes_over_https_or_to_this_machine() {
        for text in [
            "https://api.example.com/v4",
            "http://127.0.0.1:80",
            "http://[::1]",
        ] {
            assert!(parse_api(text).is_ok(), "{text}");
        }
        for text in ["http://api.example.com", "ftp://127.0.0.1", "api"] {
            assert!(parse_api(text).is_err(), "{text}");
        }
    }
}
