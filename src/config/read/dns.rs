//! How a site proves its names in DNS.

use crate::certs::challenge::{DnsMethod, DnsOptions};
use crate::config::fields::{self, TableReader};
use crate::config::report::{DnsProblem, Report};
use crate::config::value::{TomlValue, command, read_duration};
use crate::name::HostPattern;

const MEANS: [&str; 3] = ["exec", "rfc2136", "cloudflare"];

/// Reads the `dns` of a site.
pub(crate) fn read(reader: TableReader<'_, '_>, report: &mut Report<'_>) -> Option<DnsOptions> {
    let value = reader.table.value("dns")?;
    if let Ok(word) = value.string() {
        if word == "persist" {
            return Some(DnsOptions::new(DnsMethod::Persist));
        }
        report.at(value.start(), DnsProblem::Word(word.to_owned()).into());
        return None;
    }
    let table = reader.table.read("dns", report, TomlValue::table)?;
    let inner = TableReader {
        table: &table,
        ..reader
    };
    let options = read_table(inner, report);
    table.finish(report);
    options
}

fn read_table(reader: TableReader<'_, '_>, report: &mut Report<'_>) -> Option<DnsOptions> {
    let TableReader { table, folder } = reader;
    let exec = table.read("exec", report, |value| Ok(command(folder, value.string()?)));
    let update = reader.read_key("rfc2136", fields::rfc2136(), report);
    let cloudflare = reader.read_key("cloudflare", fields::cloudflare(), report);
    let servers = reader.read_key("name-servers", fields::name_servers(), report);
    let timeout = table.read("propagation-timeout", report, read_duration);
    match MEANS.into_iter().filter(|key| table.has(key)).count() {
        0 => report.at(table.start(), DnsProblem::NoMeans.into()),
        1 => {}
        _ => report.at(table.start(), DnsProblem::ManyMeans.into()),
    }
    let method = exec.map(DnsMethod::Exec);
    let method = method.or(update.map(DnsMethod::Rfc2136));
    let mut options = DnsOptions::new(method.or(cloudflare.map(DnsMethod::Cloudflare))?);
    options.name_servers = servers.unwrap_or_default();
    if let Some(timeout) = timeout {
        options.propagation_timeout = timeout;
    }
    Some(options)
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
