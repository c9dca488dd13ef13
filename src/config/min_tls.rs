//! The oldest version of TLS that clients may speak, for all sites and for one.

use crate::tls::TlsVersion;

use super::diagnostic::Report;
use super::origin::Origin;
use super::problem::Problem;
use super::settings::Config;
use super::table::Table;

/// Reads what holds for all sites that say nothing else.
pub(super) fn read_shared(table: &mut Table<'_>, config: &mut Config, report: &mut Report<'_>) {
    if let Some(version) = read(table, report) {
        config.min_tls = version;
        config.origins.set("min-tls", Origin::File);
    }
}

/// Reads what a table says of itself.
pub(super) fn read(table: &mut Table<'_>, report: &mut Report<'_>) -> Option<TlsVersion> {
    table.read("min-tls", report, |value| match value.node().as_str() {
        Some("1.2") => Ok(TlsVersion::Tls12),
        Some("1.3") => Ok(TlsVersion::Tls13),
        Some(text) => Err(Problem::MinTls(text.to_owned())),
        None => Err(value.mismatch("a version in quotes, `\"1.2\"` or `\"1.3\"`")),
    })
}
