//! `[upstreams]` and `upstream-options`: how backends are reached, shared, retried and verified.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::report::{BalancingProblem, Origin, Origins, Problem, Report, SHORTEST_KEY};
use crate::config::value::{TomlSection, TomlTable, TomlValue, read_duration, read_secret};
use crate::name::HostName;
use crate::upstream::{
    self, Address, Balancing, CookieKey, IdentityFiles, Protocol, SendProxy, TlsOptions,
    is_cookie_name,
};

use super::balancing::{count, number, status};

/// Reads upstream options over those that are there.
pub(crate) fn read_upstreams(
    (mut table, folder): (TomlTable<'_>, &Path),
    (options, origins): (&mut upstream::Options, &mut Origins),
    report: &mut Report<'_>,
) {
    let mut section = TomlSection {
        table: &mut table,
        origins,
    };
    section.set(
        ("upstreams.connect-timeout", &mut options.connect_timeout),
        report,
        read_duration,
    );
    section.set(
        ("upstreams.response-timeout", &mut options.response_timeout),
        report,
        read_duration,
    );
    section.set(
        ("upstreams.idle-timeout", &mut options.idle_timeout),
        report,
        read_duration,
    );
    if let Some(table) = section.table.read("tls", report, TomlValue::table) {
        options.tls = read_tls(table, folder, report);
        section.origins.set("upstreams.tls", Origin::File);
    }
    section.set(
        ("upstreams.send-proxy", &mut options.send_proxy),
        report,
        |value| parse_send_proxy(value.string()?),
    );
    read_balancing((&mut section, folder), &mut options.balancing, report);
    table.finish(report);
}

fn parse_send_proxy(text: &str) -> Result<Option<SendProxy>, Problem> {
    match text {
        "off" => Ok(None),
        "v1" => Ok(Some(SendProxy::V1)),
        "v2" => Ok(Some(SendProxy::V2)),
        _ => Err(Problem::SendProxy(text.to_owned())),
    }
}

/// Reads what `[upstreams]` and `upstream-options` say, over what is there.
fn read_balancing(
    (section, folder): (&mut TomlSection<'_, '_>, &Path),
    balancing: &mut Balancing,
    report: &mut Report<'_>,
) {
    let limit = ("upstreams.max-connections", &mut balancing.max_connections);
    section.set(limit, report, |value| count(value).map(Some));
    section.set(("upstreams.queue", &mut balancing.queue), report, number);
    let timeout = ("upstreams.queue-timeout", &mut balancing.queue_timeout);
    section.set(timeout, report, read_duration);
    let max_fails = ("upstreams.max-fails", &mut balancing.max_fails);
    section.set(max_fails, report, number);
    let eject_time = ("upstreams.eject-time", &mut balancing.eject_time);
    section.set(eject_time, report, read_duration);
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

fn percent(text: &str) -> Result<u16, Problem> {
    let digits = text.strip_suffix('%').filter(|text| {
        text.len() <= 3 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    });
    let percent = digits.and_then(|digits| digits.parse().ok());
    let percent = percent.filter(|percent| *percent <= 100);
    Ok(percent.ok_or_else(|| BalancingProblem::Percent(text.to_owned()))?)
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

/// A duration that may be zero.
fn pause(value: &TomlValue<'_>) -> Result<Duration, Problem> {
    match value.node().as_str() {
        Some("0s") => Ok(Duration::ZERO),
        _ => read_duration(value),
    }
}

/// Reads the table whole: what it leaves out is as by default, not as in another table.
fn read_tls(mut table: TomlTable<'_>, folder: &Path, report: &mut Report<'_>) -> TlsOptions {
    let start = table.start();
    let file = |value: &TomlValue<'_>| Ok(folder.join(value.string()?));
    let root = table.read("root", report, file);
    let sni = table.read("sni", report, |value| parse_sni(value.string()?));
    let has_identity = table.value("cert").is_some() || table.value("key").is_some();
    let identity = has_identity.then(|| read_identity(&mut table, file, report));
    let is_insecure = table.read("insecure", report, TomlValue::boolean);
    let is_insecure = is_insecure.unwrap_or_default();
    if is_insecure && root.is_some() {
        report.at(start, Problem::InsecureAndRoot);
    }
    table.finish(report);
    TlsOptions {
        root,
        sni,
        identity: identity.flatten(),
        is_insecure,
    }
}

fn read_identity<'t>(
    table: &mut TomlTable<'t>,
    file: impl Fn(&TomlValue<'t>) -> Result<PathBuf, Problem>,
    report: &mut Report<'_>,
) -> Option<IdentityFiles> {
    let example = "tls = { cert = \"client.pem\", key = \"client.key\" }";
    let cert = table.require(("cert", example), report, &file);
    let key = table.require(("key", example), report, &file);
    Some(IdentityFiles {
        cert: cert?,
        key: key?,
    })
}

fn parse_sni(text: &str) -> Result<HostName, Problem> {
    HostName::parse(text).map_err(|error| Problem::Sni {
        name: text.to_owned(),
        error,
    })
}

/// Notes TLS settings at `start` that no address makes use of.
pub(crate) fn check_used(start: usize, addresses: &[Address], report: &mut Report<'_>) {
    let is_used = |address: &Address| address.protocol() == Protocol::Https;
    if !addresses.is_empty() && !addresses.iter().any(is_used) {
        report.at(start, Problem::TlsWithoutHttps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
