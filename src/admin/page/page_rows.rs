//! Rows of the page as JSON, by name. Those that have changed are found by comparing their texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

/// Rows of one kind. Clones share them until one is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PageRows(Arc<BTreeMap<String, String>>);

impl PageRows {
    /// Adds a row.
    pub(super) fn insert(&mut self, name: &str, row: &impl Serialize) {
        Arc::make_mut(&mut self.0).insert(name.to_owned(), json(row));
    }

    /// `true` if there is a row of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns an object with all rows.
    pub(super) fn whole(&self) -> String {
        let rows = self.0.iter();
        object(rows.map(|(name, row)| (name.as_str(), row.as_str())))
    }

    /// Returns an object with the rows that differ from the earlier ones, and `null` for those that are gone. `None` if all
    /// are the same.
    pub(super) fn changes(&self, earlier: &Self) -> Option<String> {
        let is_new = |(name, row): &(&String, &String)| earlier.0.get(*name) != Some(*row);
        let changed = self.0.iter().filter(is_new);
        let changed = changed.map(|(name, row)| (name.as_str(), row.as_str()));
        let gone = earlier
            .0
            .keys()
            .filter(|name| !self.0.contains_key(*name))
            .map(|name| (name.as_str(), "null"));
        let mut changes = changed.chain(gone).peekable();
        changes.peek().is_some().then(|| object(changes))
    }
}

/// Returns the JSON of a value.
pub(super) fn json(value: &impl Serialize) -> String {
    // Strings, numbers and lists of them always serialize.
    serde_json::to_string(value).unwrap_or_default()
}

/// Returns an object of values that are JSON already.
pub(super) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::from("{");
    for (name, value) in fields {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&json(&name));
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, u32)]) -> PageRows {
        let mut page_rows = PageRows::default();
        for (name, row) in rows {
            page_rows.insert(name, row);
        }
        page_rows
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let earlier = rows(&[("a", 1), ("b", 2), ("c\"", 3)]);
        assert_eq!(earlier.whole(), r#"{"a":1,"b":2,"c\"":3}"#);
        let later = rows(&[("a", 1), ("b", 4), ("d", 5)]);
        let changes = later.changes(&earlier).unwrap();
        assert_eq!(changes, r#"{"b":4,"d":5,"c\"":null}"#);
        assert_eq!(later.changes(&later), None);
        assert_eq!(PageRows::default().whole(), "{}");
    }
}
