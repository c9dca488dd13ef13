//! One table of a Proxyfile with its entry in `keys`, which gives each value its kind and makes all other keys unknown.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::toml_value::TomlValue;
use crate::config::keys::{Key, KeyHint, Kind, PROXYFILE};
use crate::config::report::{Problem, Report};

/// A table of a Proxyfile.
#[derive(Debug)]
pub(crate) struct TomlTable<'t> {
    start: usize,
    entries: BTreeMap<&'t str, (usize, &'t Spanned<DeValue<'t>>)>,
    keys: &'static [Key],
    /// Kind of each value, if users choose the keys.
    entry: Option<&'static Kind>,
}

impl<'t> TomlTable<'t> {
    /// Returns the top-level table of a Proxyfile.
    pub(crate) fn of_document(document: &'t Spanned<DeTable<'t>>) -> Self {
        Self {
            start: document.span().start,
            entries: entries(document.get_ref()),
            keys: PROXYFILE,
            entry: None,
        }
    }

    /// Returns the byte offset of the table in the file.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns all keys with their offsets and values, in the order of the file.
    pub(crate) fn entries(&self) -> Vec<(&'t str, usize, TomlValue<'t>)> {
        let values = self.entries.iter();
        let mut values: Vec<_> = values
            .filter_map(|(key, (start, _))| Some((*key, *start, self.value(key)?)))
            .collect();
        values.sort_by_key(|(_, start, _)| *start);
        values
    }

    /// Returns true if all keys of the table are known.
    pub(crate) fn has_only_known_keys(&self) -> bool {
        self.entries.keys().all(|key| self.knows(key))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Returns true if `key` is required.
    pub(crate) fn requires(&self, key: &str) -> bool {
        self.known(key).is_some_and(|known| known.is_required)
    }

    pub(crate) fn value(&self, key: &str) -> Option<TomlValue<'t>> {
        let (key, (_, node)) = self.entries.get_key_value(key)?;
        let known = self.known(key);
        let kind = known.map(|known| &known.kind).or(self.entry);
        Some(TomlValue {
            key,
            kind: kind.unwrap_or(&Kind::Text("a string")),
            example: known.map_or("", |known| known.example),
            node,
        })
    }

    /// Reads the value of `key` with `parse`. Reports a problem if it is invalid, or missing although required.
    pub(crate) fn read<T>(
        &self,
        key: &'static str,
        report: &mut Report<'_>,
        parse: impl FnOnce(&TomlValue<'t>) -> Result<T, Problem>,
    ) -> Option<T> {
        let Some(value) = self.value(key) else {
            let known = self.known(key);
            debug_assert!(known.is_some(), "`{key}` is not in the list of keys");
            if let Some(Key { example, .. }) = known.filter(|known| known.is_required) {
                report.at(self.start, Problem::Missing { key, example });
            }
            return None;
        };
        report.accept(value.start(), parse(&value))
    }

    /// Reports unknown keys.
    pub(crate) fn finish(&self, report: &mut Report<'_>) {
        for (key, (start, _)) in &self.entries {
            if !self.knows(key) {
                report.at(*start, self.unknown(key));
            }
        }
    }

    fn knows(&self, key: &str) -> bool {
        self.entry.is_some() || self.known(key).is_some()
    }

    fn known(&self, key: &str) -> Option<&'static Key> {
        self.keys.iter().find(|known| known.name == key)
    }

    fn unknown(&self, key: &str) -> Problem {
        Problem::UnknownKey {
            key: key.to_owned(),
            hint: KeyHint::of(key, self.keys),
        }
    }
}

impl<'t> TomlValue<'t> {
    /// Returns the value as a table.
    pub(crate) fn table(&self) -> Result<TomlTable<'t>, Problem> {
        match self.node.get_ref() {
            DeValue::Table(table) => Ok(TomlTable {
                start: self.start(),
                entries: entries(table),
                keys: self.kind.keys(),
                entry: self.kind.entry(),
            }),
            _ => Err(self.mismatch()),
        }
    }
}

fn entries<'t>(table: &'t DeTable<'t>) -> BTreeMap<&'t str, (usize, &'t Spanned<DeValue<'t>>)> {
    let entries = table.iter();
    entries
        .map(|(key, node)| (key.get_ref().as_ref(), (key.span().start, node)))
        .collect()
}
