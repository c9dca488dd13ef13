//! Whose certificates a site's clients need.

use std::path::Path;

use crate::tls::{ClientAuthMode, ClientAuthOptions};

use super::diagnostic::Report;
use super::problem::Problem;
use super::table::{Table, Value};

/// Reads a site's `client-auth`.
pub(super) fn read(
    site: &mut Table<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<ClientAuthOptions> {
    let mut table = site.read("client-auth", report, Value::table)?;
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
