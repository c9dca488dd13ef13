//! The keys of a site or route about access control, which fill the options of its guards.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::HeaderName;
use http::uri::PathAndQuery;

use crate::config::report::{GuardProblem, Problem};
use crate::config::value::{parse_size, parse_web_url, read_secret};
use crate::proxy::{
    BasicAuthOptions, ClientNetwork, ForwardAuthOptions, GuardOptions, HstsOptions, PasswordHash,
    RateLimitOptions, RateScope, Realm, Satisfy, frames_message,
};
use crate::upstream::Address;

use super::codec::{Codec, boolean, count, duration, format_duration, head_size, sized};
use super::field::{Field, field};

/// Default time for the response of a forward-auth server.
const FORWARD_AUTH_TIMEOUT: Duration = Duration::from_secs(10);

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Placeholder for a password hash. It is not a valid hash, so that no password matches it.
const HASH: &str = "set, not shown";

const RATE_SCOPES: [(&str, RateScope); 2] =
    [("client", RateScope::Client), ("site", RateScope::Site)];

const SATISFY: [(&str, Satisfy); 2] = [("all", Satisfy::All), ("any", Satisfy::Any)];

/// The keys of a site in the order in which a listing shows them.
pub(crate) fn guards() -> Vec<Field<GuardOptions>> {
    let satisfy = Codec::choice(&SATISFY).omit(|it| *it == Satisfy::All);
    vec![
        field!("allow", networks.allow, networks()),
        field!("deny", networks.deny, networks()),
        field!("satisfy", satisfy, satisfy),
        field!("basic-auth", basic_auth, basic_auth().optional()),
        field!("forward-auth", forward_auth, forward_auth().optional()),
        field!("rate-limit", rate_limits, rate_limit().list_or_one()),
        field!("max-body", max_body, body_size().optional()),
        Field::group("limits", head_limits),
        field!("request-timeout", request_timeout, duration().optional()),
        field!("hsts", hsts, hsts()),
    ]
}

/// The keys of a route in the order in which a listing shows them. `false` takes away what the site has.
pub(crate) fn route_guards() -> Vec<Field<GuardOptions>> {
    let timeout = duration().optional();
    vec![
        field!("allow", networks.allow, networks().or_off()),
        field!("deny", networks.deny, networks().or_off()),
        field!("satisfy", satisfy, Codec::choice(&SATISFY)),
        field!("client-auth", client_certificate, certificate().or_off()),
        field!("basic-auth", basic_auth, basic_auth().optional().or_off()),
        field!(
            "forward-auth",
            forward_auth,
            forward_auth().optional().or_off()
        ),
        field!(
            "rate-limit",
            rate_limits,
            rate_limit().list_or_one().or_off()
        ),
        field!("max-body", max_body, body_size().optional().or_off()),
        field!("request-timeout", request_timeout, timeout.or_off()),
    ]
}

/// The word `required`, which means true.
fn certificate() -> Codec<bool> {
    let Codec { read, .. } = Codec::choice(&[("required", true)]);
    Codec {
        read,
        write: Box::new(|is_required| is_required.then(|| "required".into())),
    }
}

fn body_size() -> Codec<u64> {
    sized(|text| Ok(parse_size(text)? as u64))
}

fn networks() -> Codec<Vec<ClientNetwork>> {
    let parse = |text: &str| {
        let network = text.parse();
        network.map_err(|_| GuardProblem::Network(text.to_owned()).into())
    };
    let problem = |key: &str| GuardProblem::NoNetwork(key.to_owned()).into();
    Codec::text(parse).list().not_empty(problem)
}

fn basic_auth() -> Codec<BasicAuthOptions> {
    let fields = || -> Vec<Field<BasicAuthOptions>> {
        let realm = |text: &str| {
            Realm::parse(text).ok_or_else(|| GuardProblem::Realm(text.to_owned()).into())
        };
        vec![
            field!("users", users, users()),
            field!("realm", realm, Codec::text(realm)),
            field!("forward", forward, boolean()),
        ]
    };
    Codec::table(fields, || BasicAuthOptions {
        realm: Realm::default(),
        users: BTreeMap::new(),
        forward: false,
    })
}

/// Users with the hashes of their passwords. The hashes are never written.
fn users() -> Codec<BTreeMap<String, PasswordHash>> {
    Codec {
        read: Box::new(|value, folder, report| {
            let table = report.accept(value.start(), value.table())?;
            if table.is_empty() {
                report.at(table.start(), GuardProblem::NoUser.into());
            }
            let mut users = BTreeMap::new();
            for (user, start, value) in table.entries() {
                if user.is_empty() || user.contains(':') {
                    report.at(start, GuardProblem::User(user.to_owned()).into());
                }
                let hash = read_secret(&value, folder, report)
                    .and_then(|text| report.accept(value.start(), parse_hash(user, text.expose())));
                users.extend(hash.map(|hash| (user.to_owned(), hash)));
            }
            Some(users)
        }),
        write: Box::new(|users| {
            let users = users.keys().map(|user| (user.clone(), HASH.into()));
            Some(users.collect::<toml::Table>().into())
        }),
    }
}

fn parse_hash(user: &str, text: &str) -> Result<PasswordHash, Problem> {
    let invalid = |error| GuardProblem::Password {
        user: user.to_owned(),
        error,
    };
    Ok(PasswordHash::parse(text).map_err(invalid)?)
}

fn forward_auth() -> Codec<ForwardAuthOptions> {
    let fields = || -> Vec<Field<ForwardAuthOptions>> {
        let header = Codec::text(parse_header);
        let url = Codec::new(
            |value, _| parse_forward_url(value.string()?),
            |options: &ForwardAuthOptions| options.url.clone().into(),
        );
        vec![
            Field::new("url", |it| it, |it| it, url),
            field!("copy-headers", copy_headers, header.list()),
            field!("timeout", timeout, duration()),
        ]
    };
    Codec::table(fields, || {
        parse_forward_url("http://localhost").expect("the built-in URL is valid")
    })
    .or_short(
        |value| value.is_string(),
        |value, _| parse_forward_url(value.string()?),
    )
}

/// Returns the options of the forward-auth server at this URL.
fn parse_forward_url(text: &str) -> Result<ForwardAuthOptions, Problem> {
    let invalid = || Problem::from(GuardProblem::ForwardAuth(text.to_owned()));
    let url = parse_web_url(text).ok_or_else(invalid)?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(invalid());
    }
    let origin = &url[..url::Position::BeforePath];
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    Ok(ForwardAuthOptions {
        url: text.to_owned(),
        address: Address::parse(origin)?,
        target: PathAndQuery::try_from(target).map_err(|_| invalid())?,
        copy_headers: Vec::new(),
        timeout: FORWARD_AUTH_TIMEOUT,
    })
}

fn parse_header(text: &str) -> Result<HeaderName, Problem> {
    let name = HeaderName::from_bytes(text.as_bytes());
    let name = name.map_err(|_| GuardProblem::Header(text.to_owned()))?;
    if frames_message(&name) {
        return Err(GuardProblem::FramingHeader(text.to_owned()).into());
    }
    Ok(name)
}

fn rate_limit() -> Codec<RateLimitOptions> {
    let fields = || -> Vec<Field<RateLimitOptions>> {
        vec![
            field!("requests", requests, count()),
            field!("per", per, duration()),
            field!("burst", burst, count()),
            field!("by", by, Codec::choice(&RATE_SCOPES)),
        ]
    };
    Codec::table(fields, || RateLimitOptions {
        requests: 0,
        per: Duration::ZERO,
        burst: 0,
        by: RateScope::default(),
    })
    .adjusted(|options| {
        if options.burst == 0 {
            options.burst = options.requests;
        }
    })
}

fn head_limits() -> Vec<Field<GuardOptions>> {
    vec![
        field!("head-size", head_size, head_size().optional()),
        field!("head-fields", head_fields, count().optional()),
    ]
}

fn hsts() -> Codec<Option<HstsOptions>> {
    let fields = || -> Vec<Field<HstsOptions>> {
        let max_age = Codec::new(|value, _| parse_max_age(value.string()?), format_duration);
        vec![
            field!("max-age", max_age, max_age),
            field!("include-subdomains", include_subdomains, boolean()),
            field!("preload", preload, boolean()),
        ]
    };
    let with_age = |max_age| HstsOptions {
        max_age,
        include_subdomains: false,
        preload: false,
    };
    Codec::table(fields, move || with_age(Duration::ZERO))
        .or_short(
            |value| !value.is_table(),
            move |value, _| Ok(with_age(parse_max_age(value.string()?)?)),
        )
        .checked(|hsts| {
            let is_eligible = hsts.include_subdomains && hsts.max_age >= YEAR;
            (hsts.preload && !is_eligible).then(|| GuardProblem::Preload.into())
        })
        .optional()
        .or_short(
            |value| value.is_boolean(),
            move |value, _| {
                let is_on = value.boolean()?;
                is_on.then(|| parse_max_age("1y").map(with_age)).transpose()
            },
        )
}

/// Parses a duration of at most 11 years. Zero revokes the policy in browsers that have stored it.
fn parse_max_age(text: &str) -> Result<Duration, Problem> {
    let age = humantime::parse_duration(text).ok();
    let age = age.filter(|age| *age <= 11 * YEAR);
    age.ok_or_else(|| GuardProblem::MaxAge(text.to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_auth_url_is_split_into_server_and_path() {
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
            let ForwardAuthOptions {
                address: found,
                target: path,
                ..
            } = parse_forward_url(url).unwrap();
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
            assert!(parse_forward_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn hsts_may_be_longer_than_a_year_or_zero() {
        for (text, seconds) in [("1y", 31_557_600), ("2y", 63_115_200), ("0s", 0)] {
            assert_eq!(parse_max_age(text).unwrap().as_secs(), seconds);
        }
        for text in ["", "300", "100y", "-1s"] {
            assert!(parse_max_age(text).is_err(), "{text}");
        }
    }
}
