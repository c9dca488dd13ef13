//! A table of the file that says more than its values: where they come from.

use crate::config::report::{Origin, Origins, Problem, Report};

use super::toml_table::{TomlTable, TomlValue};

/// A table with where its values go on record.
pub(crate) struct TomlSection<'a, 't> {
    pub(crate) table: &'a mut TomlTable<'t>,
    pub(crate) origins: &'a mut Origins,
}

impl<'t> TomlSection<'_, 't> {
    /// Reads the last word of `name`, such as `limits.idle-timeout`, into its place.
    pub(crate) fn set<T>(
        &mut self,
        (name, slot): (&'static str, &mut T),
        report: &mut Report<'_>,
        parse: impl FnOnce(&TomlValue<'t>) -> Result<T, Problem>,
    ) {
        let key = name.rsplit('.').next().unwrap_or(name);
        if let Some(value) = self.table.read(key, report, parse) {
            *slot = value;
            self.origins.set(name, Origin::File);
        }
    }
}
