//! The `tls` table of upstream options: how backends behind `https://` are verified, and what they are shown.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::name::HostName;
use crate::upstream::{Address, IdentityFiles, Options, Protocol, TlsOptions};

use super::diagnostic::Report;
use super::problem::Problem;
use super::table::{Table, Value};

/// Reads the table whole: what it leaves out is as by default, not as in another table.
pub(super) fn read(mut table: Table<'_>, folder: &Path, report: &mut Report<'_>) -> TlsOptions {
    let start = table.start();
    let file = |value: &Value<'_>| Ok(folder.join(value.string()?));
    let root = table.read("root", report, file);
    let sni = table.read("sni", report, |value| parse_sni(value.string()?));
    let has_identity = table.value("cert").is_some() || table.value("key").is_some();
    let identity = has_identity.then(|| read_identity(&mut table, file, report));
    let is_insecure = table.read("insecure", report, Value::boolean);
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
    table: &mut Table<'t>,
    file: impl Fn(&Value<'t>) -> Result<PathBuf, Problem>,
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
pub(super) fn check_used(start: usize, addresses: &[Address], report: &mut Report<'_>) {
    let is_used = |address: &Address| address.protocol() == Protocol::Https;
    if !addresses.is_empty() && !addresses.iter().any(is_used) {
        report.at(start, Problem::TlsWithoutHttps);
    }
}

/// The table as a Proxyfile writes it.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamTls<'a>(&'a TlsOptions);

impl<'a> UpstreamTls<'a> {
    /// The table of these options. `None` where all is as by default.
    #[must_use]
    pub fn of(options: &'a Options) -> Option<Self> {
        (options.tls != TlsOptions::default()).then_some(Self(&options.tls))
    }

    /// The same, where one of the addresses makes use of it.
    #[must_use]
    pub fn used(addresses: &[Address], options: &'a Options) -> Option<Self> {
        let has_tls = addresses
            .iter()
            .any(|address| address.protocol() == Protocol::Https);
        Self::of(options).filter(|_| has_tls)
    }
}

impl fmt::Display for UpstreamTls<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TlsOptions {
            root,
            sni,
            identity,
            is_insecure,
        } = self.0;
        let path = |path: &PathBuf| path.display().to_string();
        let values = [
            ("root", root.as_ref().map(path)),
            ("sni", sni.as_ref().map(ToString::to_string)),
            ("cert", identity.as_ref().map(|files| path(&files.cert))),
            ("key", identity.as_ref().map(|files| path(&files.key))),
        ];
        let mut parts: Vec<_> = values
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key} = {}", toml::Value::String(value?))))
            .collect();
        if *is_insecure {
            parts.push("insecure = true".to_owned());
        }
        write!(f, "{{ {} }}", parts.join(", "))
    }
}
