//! The guards of a site: its keys `allow`, `deny`, `basic-auth`, `forward-auth`, `rate-limit`, `max-body`, `limits`,
//! `request-timeout` and `hsts`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use http::header::HeaderName;
use http::uri::PathAndQuery;
use ipnet::IpNet;
use toml::de::DeValue;

use crate::config::model::Config;
use crate::config::report::{GuardProblem, Problem, Report};
use crate::config::value::{
    TomlTable, TomlValue, format_size, parse_count, parse_head_size, parse_size, parse_web_url,
    read_duration, read_secret,
};
use crate::proxy::{
    BasicAuthOptions, ForwardAuthOptions, GuardOptions, HstsOptions, NetworkOptions, PasswordHash,
    RateLimitOptions, RateScope, Realm,
};
use crate::server::Limits;
use crate::upstream::Address;

/// For the answer of the server that decides about requests.
const FORWARD_AUTH_TIMEOUT: Duration = Duration::from_secs(10);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Reads the guards among a site's keys. `None` where there is none.
pub(crate) fn read(
    table: &mut TomlTable<'_>,
    folder: &Path,
    config: &Config,
    report: &mut Report<'_>,
) -> Option<Box<GuardOptions>> {
    let (head_size, head_fields) = read_limits(table, &config.limits, report);
    let size = |value: &TomlValue<'_>| parse_size(&value.text("a size, as in `\"10m\"`")?);
    let options = GuardOptions {
        networks: NetworkOptions {
            allow: read_networks("allow", table, report),
            deny: read_networks("deny", table, report),
        },
        basic_auth: table
            .read("basic-auth", report, TomlValue::table)
            .and_then(|table| read_basic_auth(table, folder, report)),
        forward_auth: table
            .read("forward-auth", report, TomlValue::table)
            .and_then(|table| read_forward_auth(table, config, report)),
        rate_limits: read_rate_limits(table, report),
        max_body: table.read("max-body", report, size).map(|size| size as u64),
        head_size,
        head_fields,
        request_timeout: table.read("request-timeout", report, read_duration),
        hsts: read_hsts(table, report),
    };
    (options != GuardOptions::default()).then(|| Box::new(options))
}

fn read_networks(
    key: &'static str,
    table: &mut TomlTable<'_>,
    report: &mut Report<'_>,
) -> Vec<IpNet> {
    let expected = "a list of networks, as in `[\"10.0.0.0/8\"]`";
    let list = table.read(key, report, |value| match value.list(expected)? {
        list if list.is_empty() => Err(GuardProblem::NoNetwork(key).into()),
        list => Ok(list),
    });
    let list = list.unwrap_or_default();
    let parse = |value: &TomlValue<'_>| {
        let text = value.string()?;
        parse_network(text).ok_or_else(|| GuardProblem::Network(text.to_owned()).into())
    };
    read_each(list, report, parse)
}

/// A network, or a single address.
fn parse_network(text: &str) -> Option<IpNet> {
    match text.parse::<IpNet>() {
        Ok(network) => Some(network.trunc()),
        Err(_) => Some(text.parse::<std::net::IpAddr>().ok()?.to_canonical().into()),
    }
}

/// What is right among the elements of a list; the others are noted.
fn read_each<'t, T>(
    list: Vec<TomlValue<'t>>,
    report: &mut Report<'_>,
    parse: impl Fn(&TomlValue<'t>) -> Result<T, Problem>,
) -> Vec<T> {
    list.into_iter()
        .filter_map(|value| {
            parse(&value)
                .map_err(|problem| report.at(value.start(), problem))
                .ok()
        })
        .collect()
}

fn read_basic_auth(
    mut table: TomlTable<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<BasicAuthOptions> {
    let example = "users = { anna = \"$argon2id$…\" }";
    let users = table.require(("users", example), report, TomlValue::table);
    let realm = table.read("realm", report, |value| {
        let text = value.string()?;
        Realm::parse(text).ok_or_else(|| GuardProblem::Realm(text.to_owned()).into())
    });
    let forward = table.read("forward", report, TomlValue::boolean);
    table.finish(report);
    Some(BasicAuthOptions {
        realm: realm.unwrap_or_default(),
        users: read_users(&users?, folder, report),
        forward: forward.unwrap_or_default(),
    })
}

fn read_users(
    table: &TomlTable<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> BTreeMap<String, PasswordHash> {
    if table.entries().is_empty() {
        report.at(table.start(), GuardProblem::NoUser.into());
    }
    let mut users = BTreeMap::new();
    for (user, start, value) in table.entries() {
        if user.is_empty() || user.contains(':') {
            report.at(start, GuardProblem::User(user.to_owned()).into());
        }
        match read_hash(user, value, folder) {
            Ok(hash) => {
                users.insert(user.to_owned(), hash);
            }
            Err(problem) => report.at(value.start(), problem),
        }
    }
    users
}

fn read_hash(user: &str, value: TomlValue<'_>, folder: &Path) -> Result<PasswordHash, Problem> {
    let text = read_secret(value.string()?, folder)?;
    let hash = PasswordHash::parse(text.expose()).map_err(|error| GuardProblem::Password {
        user: user.to_owned(),
        error,
    });
    Ok(hash?)
}

fn read_forward_auth(
    mut table: TomlTable<'_>,
    config: &Config,
    report: &mut Report<'_>,
) -> Option<ForwardAuthOptions> {
    let example = "url = \"http://localhost:9091/api/verify\"";
    let url = table.require(("url", example), report, |value| {
        let text = value.string()?;
        let (address, target) = parse_ask(text)?;
        match config.listens_on(&address) {
            true => Err(Problem::OwnAddress(address)),
            false => Ok((text.to_owned(), address, target)),
        }
    });
    let expected = "a list of headers, as in `[\"Remote-User\"]`";
    let list = table.read("copy-headers", report, |value| value.list(expected));
    let copy_headers = read_each(list.unwrap_or_default(), report, parse_header);
    let timeout = table.read("timeout", report, read_duration);
    table.finish(report);
    let (url, address, target) = url?;
    Some(ForwardAuthOptions {
        url,
        address,
        target,
        copy_headers,
        timeout: timeout.unwrap_or(FORWARD_AUTH_TIMEOUT),
    })
}

fn parse_ask(text: &str) -> Result<(Address, PathAndQuery), Problem> {
    let wrong = || Problem::from(GuardProblem::ForwardAuth(text.to_owned()));
    let url = parse_web_url(text).ok_or_else(wrong)?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong());
    }
    let origin = &url[..url::Position::BeforePath];
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let target = PathAndQuery::try_from(target).map_err(|_| wrong())?;
    Ok((Address::parse(origin)?, target))
}

fn parse_header(value: &TomlValue<'_>) -> Result<HeaderName, Problem> {
    const FRAMING: [&str; 9] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let text = value.string()?;
    let name = HeaderName::from_bytes(text.as_bytes());
    let name = name.map_err(|_| GuardProblem::Header(text.to_owned()))?;
    match FRAMING.contains(&name.as_str()) {
        true => Err(GuardProblem::FramingHeader(text.to_owned()).into()),
        false => Ok(name),
    }
}

fn read_rate_limits(table: &mut TomlTable<'_>, report: &mut Report<'_>) -> Vec<RateLimitOptions> {
    let expected = "a table, as in `{ requests = 100, per = \"1s\" }`, or a list of them";
    let tables = table.read("rate-limit", report, |value| match value.node() {
        DeValue::Array(_) => value.list(expected),
        DeValue::Table(_) => Ok(vec![*value]),
        _ => Err(value.mismatch(expected)),
    });
    let tables = read_each(tables.unwrap_or_default(), report, |value| {
        value.table().map_err(|_| value.mismatch(expected))
    });
    tables
        .into_iter()
        .filter_map(|table| read_rate_limit(table, report))
        .collect()
}

fn read_rate_limit(mut table: TomlTable<'_>, report: &mut Report<'_>) -> Option<RateLimitOptions> {
    let count = |value: &TomlValue<'_>| parse_count(&value.text("a count, as in `100`")?);
    let requests = table.require(("requests", "requests = 100"), report, count);
    let per = table.require(("per", "per = \"1s\""), report, read_duration);
    let burst = table.read("burst", report, count);
    let by = table.read("by", report, |value| match value.string()? {
        "client" => Ok(RateScope::Client),
        "site" => Ok(RateScope::Site),
        other => Err(GuardProblem::RateScope(other.to_owned()).into()),
    });
    table.finish(report);
    Some(RateLimitOptions {
        requests: requests?,
        per: per?,
        burst: burst.or(requests)?,
        by: by.unwrap_or_default(),
    })
}

/// The limits of a request's head that are narrower than those of all sites.
fn read_limits(
    table: &mut TomlTable<'_>,
    limits: &Limits,
    report: &mut Report<'_>,
) -> (Option<usize>, Option<usize>) {
    let Some(mut table) = table.read("limits", report, TomlValue::table) else {
        return (None, None);
    };
    let narrowed = |size: usize, limit: usize, key, shown: fn(usize) -> String| match size > limit {
        true => Err(Problem::from(GuardProblem::Wider {
            key,
            limit: shown(limit),
        })),
        false => Ok(size),
    };
    let head_size = table.read("head-size", report, |value| {
        let size = parse_head_size(&value.text("a size, as in `\"16k\"`")?)?;
        narrowed(size, limits.head_size, "head-size", |size| {
            format!("`{}`", format_size(size))
        })
    });
    let head_fields = table.read("head-fields", report, |value| {
        let count = parse_count(&value.text("a count, as in `50`")?)?;
        narrowed(count.into(), limits.head_fields, "head-fields", |count| {
            count.to_string()
        })
    });
    table.finish(report);
    (head_size, head_fields)
}

fn read_hsts(table: &mut TomlTable<'_>, report: &mut Report<'_>) -> Option<HstsOptions> {
    let value = table.value("hsts")?;
    let max_age = |value: &TomlValue<'_>| parse_max_age(value.string()?);
    let DeValue::Table(_) = value.node() else {
        return table
            .read("hsts", report, max_age)
            .map(|max_age| HstsOptions {
                max_age,
                include_subdomains: false,
                preload: false,
            });
    };
    let mut inner = table.read("hsts", report, TomlValue::table)?;
    let max_age = inner.require(("max-age", "max-age = \"1y\""), report, max_age);
    let include_subdomains = inner.read("include-subdomains", report, TomlValue::boolean);
    let preload = inner.read("preload", report, TomlValue::boolean);
    inner.finish(report);
    let options = HstsOptions {
        max_age: max_age?,
        include_subdomains: include_subdomains.unwrap_or_default(),
        preload: preload.unwrap_or_default(),
    };
    if options.preload && (!options.include_subdomains || options.max_age < YEAR) {
        report.at(value.start(), GuardProblem::Preload.into());
    }
    Some(options)
}

/// Zero takes back what browsers were told before.
fn parse_max_age(text: &str) -> Result<Duration, Problem> {
    humantime::parse_duration(text)
        .ok()
        .filter(|age| *age <= 11 * YEAR)
        .ok_or_else(|| GuardProblem::MaxAge(text.to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_with_and_without_their_length() {
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(parse_network(text).unwrap().to_string(), network);
        }
        for text in ["", "10.0.0.0/33", "10.0.0", "example.org", "10.0.0.0/8 "] {
            assert!(parse_network(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_url_to_ask_is_parted_into_server_and_path() {
        for (url, address, target) in [
            (
                "http://localhost:9091/api/verify?rd=a",
                "localhost:9091",
                "/api/verify?rd=a",
            ),
            ("http://auth.internal", "auth.internal:80", "/"),
            (
                "http://[::1]:4180/oauth2/auth",
                "[::1]:4180",
                "/oauth2/auth",
            ),
        ] {
            let (found, path) = parse_ask(url).unwrap();
            assert_eq!(
                (found.to_string().as_str(), path.as_str()),
                (address, target)
            );
        }
        for url in [
            "localhost:9091",
            "ftp://a/",
            "http://a:b@c/",
            "http://a/#b",
            "",
        ] {
            assert!(parse_ask(url).is_err(), "{url}");
        }
    }

    #[test]
    fn hsts_may_be_longer_than_a_year_or_be_taken_back() {
        for (text, seconds) in [("1y", 31_557_600), ("2y", 63_115_200), ("0s", 0)] {
            assert_eq!(parse_max_age(text).unwrap().as_secs(), seconds);
        }
        for text in ["", "300", "100y", "-1s"] {
            assert!(parse_max_age(text).is_err(), "{text}");
        }
    }
}
