//! Whose certificates a site's clients need.

use std::path::Path;

use crate::config::model::Config;
use crate::config::report::{Origin, Problem, Report};
use crate::config::value::{TomlTable, TomlValue};
use crate::tls::{ClientAuthMode, ClientAuthOptions, TlsVersion};

/// Reads a site's `client-auth`.
pub(crate) fn read(
    site: &mut TomlTable<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<ClientAuthOptions> {
    let mut table = site.read("client-auth", report, TomlValue::table)?;
    let example = "client-auth = { ca = \"clients-ca.pem\" }";
    let ca = table.require(("ca", example), report, |value| {
        Ok(folder.join(value.string()?))
    });
    let mode = table.read("mode", report, |value| parse_mode(value.string()?));
    table.finish(report);
    Some(ClientAuthOptions {
        ca: ca?,
        mode: mode.unwrap_or(ClientAuthMode::Required),
    })
}

fn parse_mode(text: &str) -> Result<ClientAuthMode, Problem> {
    match text {
        "required" => Ok(ClientAuthMode::Required),
        "optional" => Ok(ClientAuthMode::Optional),
        _ => Err(Problem::ClientAuthMode(text.to_owned())),
    }
}

/// Reads what holds for all sites that say nothing else.
pub(crate) fn read_shared_min_tls(
    table: &mut TomlTable<'_>,
    config: &mut Config,
    report: &mut Report<'_>,
) {
    if let Some(version) = read_min_tls(table, report) {
        config.min_tls = version;
        config.origins.set("min-tls", Origin::File);
    }
}

/// Reads what a table says of itself.
pub(crate) fn read_min_tls(
    table: &mut TomlTable<'_>,
    report: &mut Report<'_>,
) -> Option<TlsVersion> {
    table.read("min-tls", report, |value| match value.node().as_str() {
        Some("1.2") => Ok(TlsVersion::Tls12),
        Some("1.3") => Ok(TlsVersion::Tls13),
        Some(text) => Err(Problem::MinTls(text.to_owned())),
        None => Err(value.mismatch("a version in quotes, `\"1.2\"` or `\"1.3\"`")),
    })
}
