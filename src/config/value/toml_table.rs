//! One table of a Proxyfile with its entry in `keys`, which gives each value its kind and makes all other keys unknown.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::keys::{Key, Kind, PROXYFILE};
use crate::config::report::{Problem, Report};

use super::nearest::nearest;

/// Minimum similarity for a suggestion.
const SIMILARITY: f64 = 0.75;

/// A value with its key and its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TomlValue<'t> {
    key: &'t str,
    kind: &'static Kind,
    /// Example of a value. Empty inside lists.
    example: &'static str,
    node: &'t Spanned<DeValue<'t>>,
}

impl<'t> TomlValue<'t> {
    pub(crate) fn key(&self) -> &'t str {
        self.key
    }

    /// Returns the byte offset of the value in the file.
    pub(crate) fn start(&self) -> usize {
        self.node.span().start
    }

    pub(crate) fn is_table(&self) -> bool {
        self.node.get_ref().is_table()
    }

    pub(crate) fn is_list(&self) -> bool {
        self.node.get_ref().is_array()
    }

    pub(crate) fn is_string(&self) -> bool {
        self.node.get_ref().is_str()
    }

    pub(crate) fn is_boolean(&self) -> bool {
        self.node.get_ref().is_bool()
    }

    pub(crate) fn string(&self) -> Result<&'t str, Problem> {
        let text = self.node.get_ref().as_str();
        text.ok_or_else(|| self.mismatch())
    }

    /// Returns a string, or a decimal integer as a string.
    pub(crate) fn text(&self) -> Result<String, Problem> {
        match self.node.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Ok(number.to_string()),
            _ => Err(self.mismatch()),
        }
    }

    pub(crate) fn boolean(&self) -> Result<bool, Problem> {
        let boolean = self.node.get_ref().as_bool();
        boolean.ok_or_else(|| self.mismatch())
    }

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

    /// Returns the elements of a list.
    pub(crate) fn list(&self) -> Result<Vec<Self>, Problem> {
        let Some(nodes) = self.node.get_ref().as_array() else {
            return Err(self.mismatch());
        };
        let kind = self.kind.element().unwrap_or(self.kind);
        let elements = nodes.iter().map(|node| Self {
            kind,
            example: "",
            node,
            ..*self
        });
        Ok(elements.collect())
    }

    /// Returns the elements of a list, or the value itself if it is not a list.
    pub(crate) fn elements(&self) -> Vec<Self> {
        self.list().unwrap_or_else(|_| {
            let kind = self.kind.element().unwrap_or(self.kind);
            vec![Self { kind, ..*self }]
        })
    }

    /// Returns the choice whose word is the value.
    pub(crate) fn choice<T: Clone>(&self, choices: &[(&'static str, T)]) -> Result<T, Problem> {
        choose(self.key, self.string()?, choices)
    }

    /// Returns the problem that the value has the wrong type.
    pub(crate) fn mismatch(&self) -> Problem {
        Problem::Type {
            key: self.key.to_owned(),
            expected: match self.example {
                _ if self.kind.is_spelled_out() => self.kind.to_string(),
                "" => self.kind.to_string(),
                example => format!("{}, as in `{example}`", self.kind),
            },
            found: match self.node.get_ref() {
                DeValue::String(_) => "a string",
                DeValue::Integer(_) => "an integer",
                DeValue::Float(_) => "a float",
                DeValue::Boolean(_) => "a boolean",
                DeValue::Datetime(_) => "a date",
                DeValue::Array(_) => "a list",
                DeValue::Table(_) => "a table",
            },
        }
    }
}

/// Returns the choice whose word is `text`.
pub(crate) fn choose<T: Clone>(
    key: &str,
    text: &str,
    choices: &[(&'static str, T)],
) -> Result<T, Problem> {
    let chosen = choices.iter().find(|(word, _)| *word == text);
    chosen
        .map(|(_, value)| value.clone())
        .ok_or_else(|| Problem::Choice {
            key: key.to_owned(),
            text: text.to_owned(),
            words: choices.iter().map(|(word, _)| *word).collect(),
        })
}

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
        let known = self.keys.iter().map(|known| known.name);
        Problem::UnknownKey {
            key: key.to_owned(),
            nearest: nearest(key, known.clone(), SIMILARITY),
            known: known.collect(),
        }
    }
}

fn entries<'t>(table: &'t DeTable<'t>) -> BTreeMap<&'t str, (usize, &'t Spanned<DeValue<'t>>)> {
    let entries = table.iter();
    entries
        .map(|(key, node)| (key.get_ref().as_ref(), (key.span().start, node)))
        .collect()
}
