//! A key of a Proxyfile and the kind of its value.

use std::fmt;

/// One key of a table of a Proxyfile.
#[derive(Debug)]
pub struct Key {
    /// Name, as in `idle-timeout`.
    pub name: &'static str,
    /// Kind of the value.
    pub kind: Kind,
    /// Description in one sentence.
    pub doc: &'static str,
    /// Example of a value, in TOML.
    pub example: &'static str,
    /// True if the table must have the key.
    pub is_required: bool,
}

/// Kind of a value and of the values inside it. `Display` prints the expected forms, as in `a list of networks`.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// `false`.
    False,
    /// A string, described by a noun phrase.
    Text(&'static str),
    /// A number, with or without quotes.
    Number,
    /// A number from 0 to 1.
    Fraction,
    /// A string such as `30s`.
    Duration,
    /// A string such as `16k`, or a number of bytes.
    Size,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A list, described by a plural noun for its elements.
    List(&'static str, &'static Self),
    /// A table with these keys.
    Table(&'static [Key]),
    /// A table with keys that users choose.
    Map(&'static Self),
    /// One of several kinds.
    AnyOf(&'static [Self]),
}

impl Kind {
    /// Returns the kind of the elements, if this is a list.
    #[must_use]
    pub fn element(&self) -> Option<&'static Self> {
        match self {
            Self::List(_, element) => Some(element),
            Self::AnyOf(kinds) => kinds.iter().find_map(Self::element),
            _ => None,
        }
    }

    /// Returns the keys, if this is a table.
    #[must_use]
    pub fn keys(&self) -> &'static [Key] {
        match self {
            Self::Table(keys) => keys,
            Self::AnyOf(kinds) => kinds
                .iter()
                .find_map(|kind| Some(kind.keys()).filter(|keys| !keys.is_empty()))
                .unwrap_or_default(),
            _ => &[],
        }
    }

    /// Returns the kind of the values, if this is a table with keys that users choose.
    #[must_use]
    pub fn entry(&self) -> Option<&'static Self> {
        match self {
            Self::Map(entry) => Some(entry),
            Self::AnyOf(kinds) => kinds.iter().find_map(Self::entry),
            _ => None,
        }
    }

    /// Returns the forms that a value may have.
    fn forms(&self) -> Vec<String> {
        match self {
            Self::Boolean => vec!["`true`".to_owned(), "`false`".to_owned()],
            Self::False => vec!["`false`".to_owned()],
            Self::Text(noun) => vec![(*noun).to_owned()],
            Self::Number => vec!["a number".to_owned()],
            Self::Fraction => vec!["a number from 0 to 1".to_owned()],
            Self::Duration => vec!["a duration".to_owned()],
            Self::Size => vec!["a size".to_owned()],
            Self::Choice(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect(),
            Self::List(nouns, _) => vec![format!("a list of {nouns}")],
            Self::Table(_) | Self::Map(_) => vec!["a table".to_owned()],
            Self::AnyOf(kinds) => kinds.iter().flat_map(Self::forms).collect(),
        }
    }

    /// Returns true if the forms are possible values, so that no example is needed.
    #[must_use]
    pub fn is_spelled_out(&self) -> bool {
        match self {
            Self::Boolean | Self::Choice(_) => true,
            Self::AnyOf(kinds) => kinds.iter().any(Self::is_spelled_out),
            _ => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.forms().as_slice() {
            [forms @ .., last] if !forms.is_empty() => write!(f, "{} or {last}", forms.join(", ")),
            forms => f.write_str(&forms.concat()),
        }
    }
}

/// Defines the keys of one table. The form of a key is `"name": KIND, r#"example"#;`, below a doc comment and after
/// `required` if the table must have it.
macro_rules! keys {
    (@required required) => { true };
    (@required) => { false };
    ($($(#[doc = $doc:literal])+ $($required:ident)? $name:literal: $kind:expr, $example:literal;)*) => {
        &[$(crate::config::keys::Key {
            name: $name,
            kind: $kind,
            doc: concat!($($doc),+),
            example: $example,
            is_required: keys!(@required $($required)?),
        }),*]
    };
}

pub(crate) use keys;
