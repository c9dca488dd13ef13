//! The reader of sites and routes, and the parts that both share: upstreams and their options.

use std::path::Path;

use crate::config::fields::{self, TableReader};
use crate::config::model::Config;
use crate::config::report::{Problem, Report};
use crate::config::toml::{TomlTable, TomlValue};
use crate::upstream::{self, Address};

use super::balancing;

/// Reads sites with the context that they need.
pub(crate) struct SiteReader<'a, 'r> {
    pub(crate) folder: &'a Path,
    pub(crate) issuers: &'a [String],
    pub(crate) config: &'a Config,
    pub(crate) report: &'a mut Report<'r>,
}

impl<'a> SiteReader<'a, '_> {
    pub(crate) fn read_options(
        &mut self,
        table: &TomlTable<'_>,
        inherited: &upstream::Options,
    ) -> upstream::Options {
        let mut options = inherited.clone();
        let reader = self.reader(table);
        let fields = fields::upstream_options();
        reader.read_table("upstream-options", &fields, &mut options, self.report);
        balancing::read(reader, &mut options.balancing, self.report);
        options
    }

    /// Returns a reader for one table.
    pub(crate) fn reader<'s, 't>(&self, table: &'s TomlTable<'t>) -> TableReader<'s, 't>
    where
        'a: 's,
    {
        TableReader {
            table,
            folder: self.folder,
        }
    }

    pub(crate) fn read_addresses(&mut self, value: TomlValue<'_>) -> Vec<Address> {
        let texts = value.elements();
        if texts.is_empty() {
            self.report.at(value.start(), Problem::NoAddress);
        }
        let mut addresses = Vec::new();
        for text in texts {
            let address = self.read_address(text, &addresses);
            addresses.extend(self.report.accept(text.start(), address));
        }
        addresses
    }

    fn read_address(&self, value: TomlValue<'_>, others: &[Address]) -> Result<Address, Problem> {
        let text = address_of(value)?.text()?;
        let address = Address::parse(&text)?;
        if self.config.listens_on(&address) {
            return Err(Problem::OwnAddress(address));
        }
        if others.contains(&address) {
            return Err(Problem::SameAddress(address));
        }
        Ok(address)
    }
}

/// Returns the address of an entry of `upstream`, which may be a table.
fn address_of(value: TomlValue<'_>) -> Result<TomlValue<'_>, Problem> {
    if !value.is_table() {
        return Ok(value);
    }
    value.table()?.value("address").ok_or(Problem::Missing {
        key: "address",
        example: "\"localhost:3000\"",
    })
}
