//! Reads `request-headers` and `response-headers`.

use std::path::Path;

use crate::config::model::HeaderConfig;
use crate::config::report::{Problem, Report};
use crate::config::toml::{TomlTable, TomlValue};
use crate::config::value::{is_reference, read_secret};
use crate::proxy::{ChangeKind, HeaderChange, HeaderSecret};

/// Reads both tables of a site or a route.
pub(crate) fn read(table: &TomlTable<'_>, folder: &Path, report: &mut Report<'_>) -> HeaderConfig {
    HeaderConfig {
        request: read_changes("request-headers", table, folder, report),
        response: read_changes("response-headers", table, folder, report),
    }
}

/// Reads one table. Fields are removed first, then set, then added.
fn read_changes(
    key: &'static str,
    table: &TomlTable<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Vec<HeaderChange> {
    let Some(table) = table.read(key, report, TomlValue::table) else {
        return Vec::new();
    };
    let mut reader = Reader {
        changes: Vec::new(),
        folder,
        report,
    };
    reader.read_removed(&table);
    reader.read_values(ChangeKind::Set, &table);
    reader.read_values(ChangeKind::Add, &table);
    table.finish(reader.report);
    reader.changes
}

struct Reader<'a, 'r> {
    changes: Vec<HeaderChange>,
    folder: &'a Path,
    report: &'a mut Report<'r>,
}

impl Reader<'_, '_> {
    fn read_removed(&mut self, table: &TomlTable<'_>) {
        let names = table.read("remove", self.report, TomlValue::list);
        for value in names.unwrap_or_default() {
            if let Some(name) = self.report.accept(value.start(), value.string()) {
                let change = HeaderChange::remove(name).map_err(Into::into);
                self.add_change(value.start(), change);
            }
        }
    }

    fn read_values(&mut self, kind: ChangeKind, table: &TomlTable<'_>) {
        let key = if kind == ChangeKind::Add {
            "add"
        } else {
            "set"
        };
        let Some(fields) = table.read(key, self.report, TomlValue::table) else {
            return;
        };
        for (name, start, value) in fields.entries() {
            if kind == ChangeKind::Add && value.is_list() {
                self.read_list(name, start, value);
                continue;
            }
            if let Some(change) = self.parse(kind, name, &value) {
                self.add_change(start, change);
            }
        }
    }

    /// Reads several values of one field.
    fn read_list(&mut self, name: &str, start: usize, value: TomlValue<'_>) {
        let texts = value.list().unwrap_or_default();
        let is_new = !self.has(name);
        for value in texts {
            let Some(change) = self.parse(ChangeKind::Add, name, &value) else {
                continue;
            };
            if !is_new {
                return self.add_change(start, change);
            }
            let change = self.report.accept(value.start(), change);
            self.changes.extend(change);
        }
    }

    /// Parses a value, or a reference to a secret, which should not stand in a file that others can read. Returns `None` after
    /// reporting a value that cannot be read.
    fn parse(
        &mut self,
        kind: ChangeKind,
        name: &str,
        value: &TomlValue<'_>,
    ) -> Option<Result<HeaderChange, Problem>> {
        let text = self.report.accept(value.start(), value.string())?;
        if !is_reference(text) {
            return Some(HeaderChange::new(kind, name, text).map_err(Into::into));
        }
        let secret = read_secret(value, self.folder, self.report)?;
        let source = secret.reference().unwrap_or_default();
        let text = secret.expose();
        let secret = HeaderSecret { source, text };
        Some(HeaderChange::secret(kind, name, secret).map_err(Into::into))
    }

    fn has(&self, name: &str) -> bool {
        self.changes
            .iter()
            .any(|change| change.name().as_str().eq_ignore_ascii_case(name))
    }

    fn add_change(&mut self, start: usize, change: Result<HeaderChange, Problem>) {
        let Some(change) = self.report.accept(start, change) else {
            return;
        };
        if self.has(change.name().as_str()) {
            let name = change.name().clone();
            self.report.at(start, Problem::SameHeader(name));
        } else {
            self.changes.push(change);
        }
    }
}
