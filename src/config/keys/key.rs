//! One key of a Proxyfile, and the kinds of values.

use std::fmt;

/// One key of a table of a Proxyfile.
#[derive(Debug)]
pub struct Key {
    /// The name, as in `idle-timeout`.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// One sentence about it.
    pub doc: &'static str,
    /// A value as a Proxyfile writes it.
    pub example: &'static str,
    /// Whether its table cannot do without it.
    pub is_required: bool,
}

/// The kind of a value, and of the values inside it. Its `Display` says what is expected, as in `a list of networks`.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A string; the noun phrase says which.
    Text(&'static str),
    /// A number, with or without quotes.
    Number,
    /// A string such as `30s`.
    Duration,
    /// A string such as `16k`, or a number of bytes.
    Size,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A list; the plural noun says of what.
    List(&'static str, &'static Kind),
    /// A table with these keys.
    Table(&'static [Key]),
    /// A table whose keys the user chooses.
    Map(&'static Kind),
    /// Any of several kinds.
    AnyOf(&'static [Kind]),
}

impl Kind {
    /// The kind of the elements of a list of this kind.
    #[must_use]
    pub fn element(&self) -> Option<&'static Kind> {
        match self {
            Self::List(_, element) => Some(element),
            Self::AnyOf(kinds) => kinds.iter().find_map(Self::element),
            _ => None,
        }
    }

    /// The keys of a table of this kind.
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

    /// The kind of every value of a table of this kind, if the user chooses its keys.
    #[must_use]
    pub fn entry(&self) -> Option<&'static Kind> {
        match self {
            Self::Map(entry) => Some(entry),
            Self::AnyOf(kinds) => kinds.iter().find_map(Self::entry),
            _ => None,
        }
    }
}

impl Kind {
    /// The forms that a value may have.
    fn forms(&self) -> Vec<String> {
        match self {
            Self::Boolean => vec!["`true`".to_owned(), "`false`".to_owned()],
            Self::Text(noun) => vec![(*noun).to_owned()],
            Self::Number => vec!["a number".to_owned()],
            Self::Duration => vec!["a duration".to_owned()],
            Self::Size => vec!["a size".to_owned()],
            Self::Choice(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect(),
            Self::List(nouns, _) => vec![format!("a list of {nouns}")],
            Self::Table(_) | Self::Map(_) => vec!["a table".to_owned()],
            Self::AnyOf(kinds) => kinds.iter().flat_map(Self::forms).collect(),
        }
    }

    /// Whether the forms themselves are examples.
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

/// The keys of one table. Each is written as `"name": KIND = r#"example"#;` below a doc comment; `required` stands before
/// a key that the table cannot do without.
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
