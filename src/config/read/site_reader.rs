//! What sites and routes read alike: their upstreams.

use std::path::Path;

use toml::de::DeValue;

use crate::config::model::Config;
use crate::config::report::{Origins, Problem, Report};
use crate::config::value::{TomlTable, TomlValue};
use crate::upstream::{self, Address};

use super::balancing;
use super::upstreams::read_upstreams;

pub(crate) const KEYS: &[&str] = &[
    "upstream",
    "redirect",
    "respond",
    "files",
    "aliases",
    "routes",
    "rewrite",
    "request-headers",
    "response-headers",
    "on-demand",
    "issuer",
    "dns",
    "tls",
    "default",
    "upstream-options",
    "balance",
    "health",
    "allow",
    "deny",
    "basic-auth",
    "forward-auth",
    "rate-limit",
    "max-body",
    "limits",
    "request-timeout",
    "hsts",
    "access-log",
    "request-id",
    "compress",
    "error-pages",
    "maintenance",
    "client-auth",
    "min-tls",
];
pub(crate) const FORMS: &str =
    "an upstream such as `\"localhost:3000\"`, a list of them or a table";

/// Reads one site after the other.
pub(crate) struct SiteReader<'a, 'r> {
    pub(crate) folder: &'a Path,
    pub(crate) issuers: &'a [String],
    pub(crate) config: &'a Config,
    pub(crate) report: &'a mut Report<'r>,
}

impl SiteReader<'_, '_> {
    pub(crate) fn read_options(
        &mut self,
        table: &mut TomlTable<'_>,
        inherited: &upstream::Options,
    ) -> upstream::Options {
        let mut options = inherited.clone();
        if let Some(section) = table.read("upstream-options", self.report, TomlValue::table) {
            read_upstreams(
                (section, self.folder),
                (&mut options, &mut Origins::default()),
                self.report,
            );
        }
        balancing::read(table, &mut options.balancing, self.report);
        options
    }

    pub(crate) fn read_addresses(&mut self, value: TomlValue<'_>) -> Vec<Address> {
        let texts = match value.node() {
            DeValue::Array(_) => value.list(FORMS),
            _ => Ok(vec![value]),
        };
        let texts = texts.unwrap_or_default();
        if texts.is_empty() {
            self.report.at(value.start(), Problem::NoAddress);
        }
        let mut addresses = Vec::new();
        for text in texts {
            match self.read_address(text, &addresses) {
                Ok(address) => addresses.push(address),
                Err(problem) => self.report.at(text.start(), problem),
            }
        }
        addresses
    }

    fn read_address(&self, value: TomlValue<'_>, others: &[Address]) -> Result<Address, Problem> {
        let text = balancing::address(value)?.text("an upstream, as in `\"localhost:3000\"`")?;
        let address = Address::parse(&text)?;
        if self.config.listens_on(&address) {
            return Err(Problem::OwnAddress(address));
        }
        match others.contains(&address) {
            true => Err(Problem::SameAddress(address)),
            false => Ok(address),
        }
    }
}
