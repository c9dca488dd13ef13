//! The keys of `[[issuers]]`, `on-demand`, `tls` and of the methods to set a DNS record.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use url::Url;

use crate::acme::{ChallengeType, ExternalAccount};
use crate::certs::challenge::{
    CloudflareOptions, DnsMethod, DnsOptions, PropagationOptions, Rfc2136Options, ServerAddress,
    TsigAlgorithm,
};
use crate::certs::issuer::NameConstraint;
use crate::certs::{IssuerOptions, KeyType, OnDemandOptions, Secret, TlsFiles};
use crate::config::report::{DnsChallengeProblem, Problem};
use crate::config::value::{Directory, INTERNAL, external_account, parse_ask, parse_email};
use crate::name::HostName;

use super::codec::{Codec, count, path, secret, string};
use super::field::{Field, field, read_value};

const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";
const DNS_PORT: u16 = 53;

const KEY_TYPES: [(&str, KeyType); 4] = [
    ("p256", KeyType::P256),
    ("p384", KeyType::P384),
    ("rsa2048", KeyType::Rsa2048),
    ("rsa4096", KeyType::Rsa4096),
];

static CHALLENGES: [(&str, ChallengeType); 4] = [
    ("http-01", ChallengeType::Http01),
    ("tls-alpn-01", ChallengeType::TlsAlpn01),
    ("dns-01", ChallengeType::Dns01),
    ("dns-persist-01", ChallengeType::DnsPersist01),
];

const ALGORITHMS: [(&str, TsigAlgorithm); 3] = [
    ("hmac-sha256", TsigAlgorithm::HmacSha256),
    ("hmac-sha384", TsigAlgorithm::HmacSha384),
    ("hmac-sha512", TsigAlgorithm::HmacSha512),
];

/// The keys of an issuer except its directory, which determines their defaults.
pub(crate) fn issuer() -> Vec<Field<IssuerOptions>> {
    let staging = Codec::text(|text| Ok(Directory::parse(text)?.url));
    let challenges = Codec::choice(&CHALLENGES).list().adjusted(remove_repeated);
    vec![
        field!("root", root, path().optional()),
        field!("name", name, Codec::text(parse_issuer_name)),
        field!("email", email, Codec::text(parse_email).optional()),
        field!("eab", external_account, account().optional()),
        field!("profile", profile, string().optional()),
        field!("preferred-chain", preferred_chain, string().optional()),
        field!("key-type", key_type, Codec::choice(&KEY_TYPES)),
        field!("challenges", challenges, challenges),
        field!("staging", staging, staging.optional()),
    ]
}

/// The credentials of an account. They are never written.
fn account() -> Codec<ExternalAccount> {
    Codec {
        read: Box::new(|value, folder, report| {
            read_value(value, folder, report, |reader, report| {
                let key_id = reader.read_key("key-id", string(), report);
                let is_key = |key: &Secret| external_account(String::from("any"), key).err();
                let secret = reader.read_key("hmac-key", secret().checked(is_key), report);
                ExternalAccount::new(key_id?, secret?.expose())
            })?
        }),
        write: Box::new(|_| None),
    }
}

fn remove_repeated(challenges: &mut Vec<ChallengeType>) {
    let mut unique = Vec::new();
    challenges.retain(|challenge| {
        let is_new = !unique.contains(challenge);
        unique.push(challenge.clone());
        is_new
    });
}

fn parse_issuer_name(text: &str) -> Result<String, Problem> {
    match text {
        "" | INTERNAL => Err(Problem::IssuerName(text.to_owned())),
        text => Ok(text.to_owned()),
    }
}

pub(crate) fn name_constraints() -> Codec<Vec<NameConstraint>> {
    let parse = |text: &str| {
        NameConstraint::parse(text).ok_or_else(|| Problem::NameConstraint(text.to_owned()))
    };
    Codec::text(parse).list()
}

pub(crate) fn on_demand() -> Codec<OnDemandOptions> {
    let fields = || -> Vec<Field<OnDemandOptions>> {
        vec![
            field!("ask", ask, Codec::text(parse_ask)),
            field!("names-per-network", names_per_network, count()),
            field!("names-per-hour", names_per_hour, count()),
        ]
    };
    Codec::table(fields, || {
        OnDemandOptions::new(built_in_url("http://localhost"))
    })
    .or_short(
        |value| value.is_string(),
        |value, _| Ok(OnDemandOptions::new(parse_ask(value.string()?)?)),
    )
}

pub(crate) fn tls_files() -> Codec<TlsFiles> {
    let fields = || -> Vec<Field<TlsFiles>> {
        vec![field!("cert", cert, path()), field!("key", key, path())]
    };
    Codec::table(fields, || TlsFiles {
        cert: PathBuf::new(),
        key: PathBuf::new(),
    })
}

pub(crate) fn rfc2136() -> Codec<Rfc2136Options> {
    let fields = || -> Vec<Field<Rfc2136Options>> {
        vec![
            field!("server", server, Codec::text(parse_server)),
            field!("key-name", key_name, string()),
            field!("key", key, secret()),
            field!("algorithm", algorithm, Codec::choice(&ALGORITHMS)),
        ]
    };
    Codec::table(fields, || Rfc2136Options {
        server: ServerAddress {
            host: String::new(),
            port: DNS_PORT,
        },
        key_name: String::new(),
        key: Secret::new(""),
        algorithm: TsigAlgorithm::HmacSha256,
    })
}

pub(crate) fn cloudflare() -> Codec<CloudflareOptions> {
    let fields = || -> Vec<Field<CloudflareOptions>> {
        vec![
            field!("token", token, secret()),
            field!("url", url, Codec::text(parse_api)),
        ]
    };
    let with_token = |token| CloudflareOptions {
        token,
        url: built_in_url(CLOUDFLARE),
    };
    Codec::table(fields, move || with_token(Secret::new(""))).or_string(secret(), with_token)
}

pub(crate) fn name_servers() -> Codec<Vec<SocketAddr>> {
    let parse = |text: &str| {
        parse_address(text).ok_or_else(|| DnsChallengeProblem::NameServer(text.to_owned()).into())
    };
    Codec::text(parse).list()
}

/// Writes `dns`, which the readers of sites read.
pub(crate) fn write_dns(options: &DnsOptions) -> toml::Value {
    let (key, value) = match &options.method {
        DnsMethod::Persist => return "persist".into(),
        DnsMethod::Exec(program) => ("exec", Some(program.display().to_string().into())),
        DnsMethod::Rfc2136(update) => ("rfc2136", (rfc2136().write)(update)),
        DnsMethod::Cloudflare(api) => ("cloudflare", (cloudflare().write)(api)),
    };
    let entries = std::iter::once((key, value)).chain(propagation_entries(&options.propagation));
    let entries = entries.filter_map(|(key, value)| Some((key.to_owned(), value?)));
    entries.collect::<toml::Table>().into()
}

fn propagation_entries(options: &PropagationOptions) -> Vec<(&'static str, Option<toml::Value>)> {
    let duration = |duration| Some(humantime::format_duration(duration).to_string().into());
    if let Some(delay) = options.delay {
        return vec![("propagation-delay", duration(delay))];
    }
    let word = if options.is_strict {
        "strict"
    } else {
        "relaxed"
    };
    vec![
        (
            "name-servers",
            (name_servers().write)(&options.name_servers),
        ),
        ("propagation-timeout", duration(options.timeout)),
        ("propagation", Some(word.into())),
    ]
}

fn built_in_url(text: &str) -> Url {
    Url::parse(text).expect("the built-in URLs are valid")
}

fn parse_address(text: &str) -> Option<SocketAddr> {
    let plain = text.trim_start_matches('[').trim_end_matches(']');
    let ip = plain.parse::<IpAddr>().ok();
    ip.map(|ip| (ip, DNS_PORT).into())
        .or_else(|| text.parse().ok())
}

fn parse_server(text: &str) -> Result<ServerAddress, Problem> {
    let problem = || Problem::from(DnsChallengeProblem::Server(text.to_owned()));
    let (host, port) = match parse_address(text) {
        Some(address) => (address.ip().to_string(), address.port()),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host.to_owned(), port.parse().map_err(|_| problem())?),
            None => (text.to_owned(), DNS_PORT),
        },
    };
    match HostName::parse(&host) {
        Ok(_) => Ok(ServerAddress { host, port }),
        Err(_) => Err(problem()),
    }
}

/// Rejects plain http to another machine, which would send the token unencrypted.
fn parse_api(text: &str) -> Result<Url, Problem> {
    let url = Url::parse(text).ok().filter(|url| {
        let is_loopback = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
    });
    url.ok_or_else(|| DnsChallengeProblem::Url(text.to_owned()).into())
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
    fn a_token_is_sent_over_https_or_to_this_machine_only() {
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
