//! How the backends of a site or route share its requests, and what is done about those that fail.

use std::path::Path;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use toml::de::DeValue;

use crate::upstream::{
    Balancer, BalancerError, Balancing, CookieKey, HealthOptions, Share, StatusRange,
    StatusRangeError, is_cookie_name,
};

use super::diagnostic::Report;
use super::problem::Problem;
use super::secret::read_secret;
use super::section::Section;
use super::table::{Table, Value};
use super::units::{parse_count, parse_duration};

/// A shorter key could be guessed.
const SHORTEST_KEY: usize = 16;

/// What can be wrong with it.
#[derive(Debug, thiserror::Error)]
pub(super) enum BalancingProblem {
    #[error("`{0}` is no way to balance; {1}")]
    Balancer(String, #[source] BalancerError),
    #[error("`{0}` is no status; {1}")]
    Status(String, #[source] StatusRangeError),
    #[error("`{0}` is no path to check; write it as in `/healthz`")]
    HealthPath(String),
    #[error("`{0}` is no host; write it as in `app.example.org` or `localhost:3000`")]
    HealthHost(String),
    #[error("`{0}` is no part of the requests; write a percentage from `0%` to `100%`")]
    Percent(String),
    #[error("`{0}` is no name of a cookie; write letters, digits and dashes, as in `backend`")]
    CookieName(String),
    #[error("the key has {0} bytes and could be guessed; use at least {SHORTEST_KEY}")]
    ShortKey(usize),
    #[error("no address would get any request; give at least one a `weight` above 0")]
    NoWeight,
    #[error("`{0}` stands next to the `upstream` that it is about; add one or remove `{0}`")]
    NoUpstream(&'static str),
}

/// Reads `balance` and `health`, and what the addresses of `upstream` say beside where they are. What is inherited from an
/// upstream elsewhere does not hold for another one.
pub(super) fn read(table: &mut Table<'_>, balancing: &mut Balancing, report: &mut Report<'_>) {
    if let Some(upstream) = table.value("upstream") {
        read_line(upstream, balancing, report);
    }
    if let Some(balancer) = table.read("balance", report, |value| balancer(value.string()?)) {
        balancing.balancer = balancer;
    }
    if let Some(value) = table.value("health") {
        balancing.health = read_health(value, report);
    }
}

/// Reads what the addresses of a whole upstream in one line say beside where they are.
pub(super) fn read_line(upstream: Value<'_>, balancing: &mut Balancing, report: &mut Report<'_>) {
    balancing.balancer = Balancer::default();
    balancing.health = None;
    let values = match upstream.node() {
        DeValue::Array(_) => upstream.list("").unwrap_or_default(),
        _ => vec![upstream],
    };
    let shares: Vec<_> = values
        .into_iter()
        .map(|value| read_share(value, report))
        .collect();
    if !shares.is_empty() && shares.iter().all(|share| share.weight == 0) {
        report.at(upstream.start(), BalancingProblem::NoWeight.into());
    }
    let is_plain = shares.iter().all(|share| *share == Share::default());
    balancing.shares = if is_plain { Vec::new() } else { shares };
}

/// Notes `balance` and `health` where no `upstream` stands.
pub(super) fn refuse_alone(table: &Table<'_>, report: &mut Report<'_>) {
    for key in ["balance", "health"] {
        if let Some(value) = table.peek(key) {
            report.at(value.start(), BalancingProblem::NoUpstream(key).into());
        }
    }
}

/// The address in an entry of `upstream`, which may be a table that says more.
pub(super) fn address<'t>(value: Value<'t>) -> Result<Value<'t>, Problem> {
    match value.node() {
        DeValue::Table(_) => value.table()?.value("address").ok_or(Problem::Missing {
            key: "address",
            example: "{ address = \"localhost:3000\", weight = 3 }",
        }),
        _ => Ok(value),
    }
}

fn read_share(value: Value<'_>, report: &mut Report<'_>) -> Share {
    let mut share = Share::default();
    if !matches!(value.node(), DeValue::Table(_)) {
        return share;
    }
    let Ok(mut table) = value.table() else {
        return share;
    };
    table.value("address");
    if let Some(weight) = table.read("weight", report, number) {
        share.weight = weight;
    }
    share.max_connections = table.read("max-connections", report, count);
    table.finish(report);
    share
}

fn read_health(value: Value<'_>, report: &mut Report<'_>) -> Option<HealthOptions> {
    let mut table = match value.node() {
        DeValue::Table(_) => value.table().ok()?,
        DeValue::String(_) => match value.string().and_then(path) {
            Ok(path) => return Some(HealthOptions::new(path)),
            Err(problem) => {
                report.at(value.start(), problem);
                return None;
            }
        },
        _ => {
            let expected = "a path such as `\"/healthz\"` or a table";
            report.at(value.start(), value.mismatch(expected));
            return None;
        }
    };
    let key = ("path", "health = { path = \"/healthz\" }");
    let found = table.require(key, report, |value| path(value.string()?));
    let mut health = HealthOptions::new(found.clone().unwrap_or_default());
    set(&mut table, ("expect", &mut health.expect), report, status);
    let interval = ("interval", &mut health.interval);
    set(&mut table, interval, report, duration);
    set(
        &mut table,
        ("timeout", &mut health.timeout),
        report,
        duration,
    );
    set(&mut table, ("rise", &mut health.rise), report, count);
    set(&mut table, ("fall", &mut health.fall), report, count);
    health.host = table.read("host", report, |value| host(value.string()?));
    table.finish(report);
    found.map(|_| health)
}

/// Reads what `[upstreams]` and `upstream-options` say, over what is there.
pub(super) fn read_options(
    (section, folder): (&mut Section<'_, '_>, &Path),
    balancing: &mut Balancing,
    report: &mut Report<'_>,
) {
    let limit = ("upstreams.max-connections", &mut balancing.max_connections);
    section.set(limit, report, |value| count(value).map(Some));
    section.set(("upstreams.queue", &mut balancing.queue), report, number);
    let timeout = ("upstreams.queue-timeout", &mut balancing.queue_timeout);
    section.set(timeout, report, duration);
    let max_fails = ("upstreams.max-fails", &mut balancing.max_fails);
    section.set(max_fails, report, number);
    let eject_time = ("upstreams.eject-time", &mut balancing.eject_time);
    section.set(eject_time, report, duration);
    let eject_status = ("upstreams.eject-status", &mut balancing.eject_status);
    section.set(eject_status, report, |value| status(value).map(Some));
    let slow_start = ("upstreams.slow-start", &mut balancing.slow_start);
    section.set(slow_start, report, pause);
    section.set(
        ("upstreams.retries", &mut balancing.retries),
        report,
        number,
    );
    let budget = ("upstreams.retry-budget", &mut balancing.retry_percent);
    section.set(budget, report, |value| percent(value.string()?));
    let name = ("upstreams.cookie-name", &mut balancing.cookie_name);
    section.set(name, report, |value| cookie_name(value.string()?));
    let key = ("upstreams.cookie-key", &mut balancing.cookie_key);
    section.set(key, report, |value| {
        cookie_key(value.string()?, folder).map(Some)
    });
}

fn set<'t, T>(
    table: &mut Table<'t>,
    (key, slot): (&'static str, &mut T),
    report: &mut Report<'_>,
    parse: impl FnOnce(&Value<'t>) -> Result<T, Problem>,
) {
    if let Some(value) = table.read(key, report, parse) {
        *slot = value;
    }
}

fn balancer(text: &str) -> Result<Balancer, Problem> {
    let unknown = |error| BalancingProblem::Balancer(text.to_owned(), error);
    Ok(text.parse().map_err(unknown)?)
}

fn status(value: &Value<'_>) -> Result<StatusRange, Problem> {
    let text = value.text("a status, as in `200` or `\"200-399\"`")?;
    let unknown = |error| BalancingProblem::Status(text.clone(), error);
    Ok(text.parse().map_err(unknown)?)
}

fn count(value: &Value<'_>) -> Result<u16, Problem> {
    parse_count(&value.text("a count, as in `100`")?)
}

/// A count that may be zero.
fn number(value: &Value<'_>) -> Result<u16, Problem> {
    match value.text("a count, as in `100`")?.as_str() {
        "0" => Ok(0),
        text => parse_count(text),
    }
}

fn duration(value: &Value<'_>) -> Result<Duration, Problem> {
    match value.node().as_str() {
        Some(text) => parse_duration(text),
        None => Err(value.mismatch("a duration, as in `\"30s\"`")),
    }
}

/// A duration that may be zero.
fn pause(value: &Value<'_>) -> Result<Duration, Problem> {
    match value.node().as_str() {
        Some("0s") => Ok(Duration::ZERO),
        _ => duration(value),
    }
}

fn percent(text: &str) -> Result<u16, Problem> {
    let digits = text.strip_suffix('%').filter(|text| {
        text.len() <= 3 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    });
    let percent = digits.and_then(|digits| digits.parse().ok());
    let percent = percent.filter(|percent| *percent <= 100);
    Ok(percent.ok_or_else(|| BalancingProblem::Percent(text.to_owned()))?)
}

fn path(text: &str) -> Result<String, Problem> {
    let is_path = text.starts_with('/') && text.parse::<PathAndQuery>().is_ok();
    match is_path {
        true => Ok(text.to_owned()),
        false => Err(BalancingProblem::HealthPath(text.to_owned()).into()),
    }
}

fn host(text: &str) -> Result<String, Problem> {
    let is_host = !text.contains('@') && text.parse::<Authority>().is_ok();
    match is_host {
        true => Ok(text.to_owned()),
        false => Err(BalancingProblem::HealthHost(text.to_owned()).into()),
    }
}

fn cookie_name(text: &str) -> Result<String, Problem> {
    match is_cookie_name(text) {
        true => Ok(text.to_owned()),
        false => Err(BalancingProblem::CookieName(text.to_owned()).into()),
    }
}

fn cookie_key(text: &str, folder: &Path) -> Result<CookieKey, Problem> {
    let secret = read_secret(text, folder)?;
    let (source, key) = (secret.reference(), secret.expose());
    match key.len() {
        len if len < SHORTEST_KEY => Err(BalancingProblem::ShortKey(len).into()),
        _ => Ok(CookieKey::new(source.map(str::to_owned), key.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Flags, SiteAction};

    fn options(site: &str) -> crate::upstream::Options {
        let text = format!(
            "storage = \"file:/data\"\n[upstreams]\nqueue = 7\n[sites]\n\"a.example.org\" = {site}"
        );
        let config = Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default());
        match config.unwrap().sites.remove(0).routes.remove(0).action {
            SiteAction::Upstream { options, .. } => options,
            _ => panic!("{site}"),
        }
    }

    #[test]
    fn a_site_says_how_its_backends_share_their_work() {
        let balancing = options(
            r#"{ upstream = ["a:1", { address = "b:1", weight = 3, max-connections = 5 }], balance = "least-conn",
                health = { path = "/up?x=1", expect = 204, interval = "1s", timeout = "2s", rise = 4, fall = 5, host = "h:1" },
                upstream-options = { max-connections = 9, max-fails = 0, slow-start = "0s", retry-budget = "50%", eject-status = "5xx" } }"#,
        )
        .balancing;
        assert_eq!(balancing.balancer, Balancer::LeastConn);
        let shares = [0, 1, 2].map(|index| balancing.share(index));
        assert_eq!(shares.map(|share| share.weight), [1, 3, 1]);
        assert_eq!(shares[1].max_connections, Some(5));
        let health = balancing.health.unwrap();
        assert_eq!((health.rise, health.fall), (4, 5));
        assert_eq!(health.expect, "204".parse().unwrap());
        assert_eq!(balancing.max_connections, Some(9));
        assert_eq!((balancing.queue, balancing.max_fails), (7, 0));
        assert_eq!(balancing.slow_start, Duration::ZERO);
        assert_eq!(balancing.retry_percent, 50);
        assert_eq!(balancing.eject_status, Some("500-599".parse().unwrap()));
    }

    #[test]
    fn a_route_balances_its_own_upstream_by_its_own_word_and_the_site_s_by_the_site_s() {
        let text = r#"storage = "file:/data"
            [sites."a.example.org"]
            upstream = [{ address = "a:1", weight = 2 }, "b:1"]
            balance = "cookie"
            health = "/up"
            upstream-options = { queue = 7 }
            routes = { "/same" = { rewrite = "/x" }, "/line" = ["c:1", { address = "d:1", weight = 5 }], "/table" = { upstream = "e:1", health = "/ok" } }
        "#;
        let config = Config::from_proxyfile(Path::new("Proxyfile"), text, &Flags::default());
        let routes = config.unwrap().sites.remove(0).routes.into_iter();
        let balancing: Vec<_> = routes
            .filter_map(|route| match route.action {
                SiteAction::Upstream { options, .. } => Some(options.balancing),
                _ => None,
            })
            .collect();
        let [own, same, line, table] = balancing.as_slice() else {
            panic!("{balancing:?}");
        };
        assert_eq!(same, own);
        let random = Balancer::RandomTwo;
        assert_eq!((line.balancer, line.share(1).weight), (random, 5));
        assert_eq!(line.health, None);
        assert_eq!((table.balancer, table.share(0).weight), (random, 1));
        assert_eq!(table.health, Some(HealthOptions::new("/ok".to_owned())));
        assert_eq!([line.queue, table.queue], [7, 7]);
    }

    #[test]
    fn the_short_forms_are_enough() {
        let line = options(r#"["a:1", { address = "b:1", weight = 2 }]"#).balancing;
        assert_eq!(line.share(1).weight, 2);
        let health = options(r#"{ upstream = "a:1", health = "/up" }"#).balancing;
        assert_eq!(health.health, Some(HealthOptions::new("/up".to_owned())));
        let plain = options(r#"["a:1", { address = "b:1" }]"#).balancing;
        assert_eq!(plain.shares, []);
    }

    #[test]
    fn a_key_is_read_from_where_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "0123456789abcdef\n").unwrap();
        let key = cookie_key("file:key", dir.path()).unwrap();
        let place = format!("file:{}", dir.path().join("key").display());
        assert_eq!(key.source(), Some(place.as_str()));
        assert_eq!(cookie_key(&place, Path::new("/")).unwrap(), key);
        let here = cookie_key("0123456789abcdef", dir.path()).unwrap();
        assert_eq!(here.source(), None);
    }
}
