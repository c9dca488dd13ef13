//! A table of the file that says more than its values: where they come from.

use super::diagnostic::Report;
use super::origin::{Origin, Origins};
use super::problem::Problem;
use super::table::{Table, Value};

/// A table with where its values go on record.
pub(super) struct Section<'a, 't> {
    pub(super) table: &'a mut Table<'t>,
    pub(super) origins: &'a mut Origins,
}

impl<'t> Section<'_, 't> {
    /// Reads the last word of `name`, such as `limits.idle-timeout`, into its place.
    pub(super) fn set<T>(
        &mut self,
        (name, slot): (&'static str, &mut T),
        report: &mut Report<'_>,
        parse: impl FnOnce(&Value<'t>) -> Result<T, Problem>,
    ) {
        let key = name.rsplit('.').next().unwrap_or(name);
        if let Some(value) = self.table.read(key, report, parse) {
            *slot = value;
            self.origins.set(name, Origin::File);
        }
    }
}
