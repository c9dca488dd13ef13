//! One value of a Proxyfile with its key, which gives it its kind and an example.

use toml::Spanned;
use toml::de::DeValue;

use crate::config::keys::Kind;
use crate::config::report::{Problem, TracingProblem};

/// A value with its key and its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TomlValue<'t> {
    pub(super) key: &'t str,
    pub(super) kind: &'static Kind,
    /// Example of a value. Empty inside lists.
    pub(super) example: &'static str,
    pub(super) node: &'t Spanned<DeValue<'t>>,
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

    /// Returns a number from 0 to 1.
    pub(crate) fn fraction(&self) -> Result<f64, Problem> {
        let text = match self.node.get_ref() {
            DeValue::Float(number) => number.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.to_string(),
            _ => return Err(self.mismatch()),
        };
        let number = text.parse::<f64>().ok();
        let number = number.filter(|number| (0.0..=1.0).contains(number));
        number.ok_or_else(|| TracingProblem::Fraction(text).into())
    }

    pub(crate) fn boolean(&self) -> Result<bool, Problem> {
        let boolean = self.node.get_ref().as_bool();
        boolean.ok_or_else(|| self.mismatch())
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
