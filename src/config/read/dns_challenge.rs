//! Reads `dns` of a site: the method to set records for DNS challenges.

use crate::certs::challenge::{DnsMethod, DnsOptions, PropagationOptions};
use crate::config::fields::{self, TableReader};
use crate::config::report::{DnsChallengeProblem, Report};
use crate::config::toml::TomlValue;
use crate::config::value::read_duration;
use crate::name::HostPattern;

/// The words for a check of a record that does not succeed, with whether they end the attempt.
const PROPAGATION: [(&str, bool); 2] = [("relaxed", false), ("strict", true)];

const METHODS: [&str; 3] = ["exec", "rfc2136", "cloudflare"];

/// Reads the `dns` of a site or of all sites. `false` takes that of all sites away.
pub(crate) fn read(reader: TableReader<'_, '_>, report: &mut Report<'_>) -> Option<DnsOptions> {
    let value = reader.table.value("dns")?;
    if is_off(value) {
        return None;
    }
    if let Ok(word) = value.string() {
        if word == "persist" {
            return Some(DnsOptions::new(DnsMethod::Persist));
        }
        report.at(
            value.start(),
            DnsChallengeProblem::Method(word.to_owned()).into(),
        );
        return None;
    }
    reader.read_inner("dns", report, read_table)?
}

/// Returns true if the value is `false`.
pub(crate) fn is_off(value: TomlValue<'_>) -> bool {
    value.boolean().is_ok_and(|is_on| !is_on)
}

fn read_table(reader: TableReader<'_, '_>, report: &mut Report<'_>) -> Option<DnsOptions> {
    let table = reader.table;
    let exec = reader.read_key("exec", fields::command(), report);
    let update = reader.read_key("rfc2136", fields::rfc2136(), report);
    let cloudflare = reader.read_key("cloudflare", fields::cloudflare(), report);
    let propagation = read_propagation(reader, report);
    match METHODS.into_iter().filter(|key| table.has(key)).count() {
        0 => report.at(table.start(), DnsChallengeProblem::NoMethod.into()),
        1 => {}
        _ => report.at(table.start(), DnsChallengeProblem::ManyMethods.into()),
    }
    let method = exec.map(DnsMethod::Exec);
    let method = method.or_else(|| update.map(DnsMethod::Rfc2136));
    let mut options = DnsOptions::new(method.or_else(|| cloudflare.map(DnsMethod::Cloudflare))?);
    options.propagation = propagation;
    Some(options)
}

fn read_propagation(reader: TableReader<'_, '_>, report: &mut Report<'_>) -> PropagationOptions {
    let table = reader.table;
    let servers = reader.read_key("name-servers", fields::name_servers(), report);
    let timeout = table.read("propagation-timeout", report, read_duration);
    let is_strict = table.read("propagation", report, |value| value.choice(&PROPAGATION));
    let delay = table.read("propagation-delay", report, read_duration);
    let of_check = ["name-servers", "propagation-timeout", "propagation"];
    if table.has("propagation-delay") {
        for key in of_check.into_iter().filter(|key| table.has(key)) {
            report.at(table.start(), DnsChallengeProblem::Delay(key).into());
        }
    }
    let default = PropagationOptions::default();
    PropagationOptions {
        name_servers: servers.unwrap_or_default(),
        timeout: timeout.unwrap_or(default.timeout),
        is_strict: is_strict.unwrap_or(default.is_strict),
        delay,
    }
}

/// Returns the problem if `dns` has no effect for the site.
pub(crate) fn check(
    pattern: &HostPattern,
    has_files: bool,
    is_internal: bool,
) -> Result<(), DnsChallengeProblem> {
    match pattern {
        _ if has_files => Err(DnsChallengeProblem::Files),
        HostPattern::Exact(name) if name.ip().is_some() => {
            Err(DnsChallengeProblem::Address(pattern.clone()))
        }
        _ if is_internal => Err(DnsChallengeProblem::Local(pattern.clone())),
        _ => Ok(()),
    }
}
