//! One table of a file, read key by key: whatever was not asked for is unknown.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::config::report::{Problem, Report};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Alike enough to be a slip of the fingers.
const SIMILARITY: f64 = 0.75;

/// A value with its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TomlValue<'t> {
    key: &'t str,
    node: &'t Spanned<DeValue<'t>>,
}

impl<'t> TomlValue<'t> {
    pub(crate) fn new(key: &'t str, node: &'t Spanned<DeValue<'t>>) -> Self {
        Self { key, node }
    }

    pub(crate) fn start(&self) -> usize {
        self.node.span().start
    }

    pub(crate) fn node(&self) -> &'t DeValue<'t> {
        self.node.get_ref()
    }

    pub(crate) fn string(&self) -> Result<&'t str, Problem> {
        self.node()
            .as_str()
            .ok_or_else(|| self.mismatch("a string"))
    }

    /// A string, or a bare number taken as one.
    pub(crate) fn text(&self, expected: &'static str) -> Result<String, Problem> {
        match self.node() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Ok(number.to_string()),
            _ => Err(self.mismatch(expected)),
        }
    }

    pub(crate) fn boolean(&self) -> Result<bool, Problem> {
        self.node()
            .as_bool()
            .ok_or_else(|| self.mismatch("`true` or `false`"))
    }

    pub(crate) fn table(&self) -> Result<TomlTable<'t>, Problem> {
        match self.node() {
            DeValue::Table(entries) => Ok(TomlTable::new(entries, self.node.span())),
            _ => Err(self.mismatch("a table")),
        }
    }

    /// The elements of a list.
    pub(crate) fn list(&self, expected: &'static str) -> Result<Vec<Self>, Problem> {
        match self.node() {
            DeValue::Array(nodes) => {
                Ok(nodes.iter().map(|node| Self::new(self.key, node)).collect())
            }
            _ => Err(self.mismatch(expected)),
        }
    }

    /// That the value is of another kind than `expected`.
    pub(crate) fn mismatch(&self, expected: &'static str) -> Problem {
        Problem::Type {
            key: self.key.to_owned(),
            expected,
            found: match self.node() {
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

/// A table whose keys are asked for one by one.
#[derive(Debug)]
pub(crate) struct TomlTable<'t> {
    entries: BTreeMap<&'t str, (usize, TomlValue<'t>)>,
    start: usize,
    known: Vec<&'static str>,
}

impl<'t> TomlTable<'t> {
    pub(crate) fn new(entries: &'t DeTable<'t>, span: Range<usize>) -> Self {
        let entries = entries
            .iter()
            .map(|(key, node)| {
                let name = key.get_ref().as_ref();
                (name, (key.span().start, TomlValue::new(name, node)))
            })
            .collect();
        Self {
            entries,
            start: span.start,
            known: Vec::new(),
        }
    }

    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// All keys with their offsets and values, in the order of the file.
    pub(crate) fn entries(&self) -> Vec<(&'t str, usize, TomlValue<'t>)> {
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .map(|(key, (start, value))| (*key, *start, *value))
            .collect();
        entries.sort_by_key(|(_, start, _)| *start);
        entries
    }

    pub(crate) fn has_only(&self, keys: &[&str]) -> bool {
        self.entries.keys().all(|key| keys.contains(key))
    }

    pub(crate) fn value(&mut self, key: &'static str) -> Option<TomlValue<'t>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.get(key).map(|(_, value)| *value)
    }

    /// The value of a key that need not be known.
    pub(crate) fn peek(&self, key: &str) -> Option<TomlValue<'t>> {
        self.entries.get(key).map(|(_, value)| *value)
    }

    /// The value of `key` as `parse` reads it; a problem is noted at the value.
    pub(crate) fn read<T>(
        &mut self,
        key: &'static str,
        report: &mut Report<'_>,
        parse: impl FnOnce(&TomlValue<'t>) -> Result<T, Problem>,
    ) -> Option<T> {
        let value = self.value(key)?;
        match parse(&value) {
            Ok(parsed) => Some(parsed),
            Err(problem) => {
                report.at(value.start(), problem);
                None
            }
        }
    }

    /// As `read`, for a key that the table cannot do without.
    pub(crate) fn require<T>(
        &mut self,
        (key, example): (&'static str, &'static str),
        report: &mut Report<'_>,
        parse: impl FnOnce(&TomlValue<'t>) -> Result<T, Problem>,
    ) -> Option<T> {
        if !self.entries.contains_key(key) {
            report.at(self.start, Problem::Missing { key, example });
        }
        self.read(key, report, parse)
    }

    /// Notes each key that was never asked for.
    pub(crate) fn finish(self, report: &mut Report<'_>) {
        for (key, (start, _)) in &self.entries {
            if !self.known.contains(key) {
                report.at(*start, unknown(key, &self.known));
            }
        }
    }
}

fn unknown(key: &str, known: &[&'static str]) -> Problem {
    let similarity =
        |candidate: &str| strsim::jaro_winkler(&key.to_lowercase().replace('_', "-"), candidate);
    let nearest = known
        .iter()
        .map(|candidate| (similarity(candidate), *candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate.to_owned());
    Problem::UnknownKey {
        key: key.to_owned(),
        nearest,
        known: known.to_vec(),
    }
}
