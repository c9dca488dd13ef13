//! How a value is read from a Proxyfile and written to one.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certs::Secret;
use crate::config::report::{Problem, Report};
use crate::config::value::{
    TomlValue, format_size, parse_count, parse_head_size, parse_size, read_duration, read_secret,
};

/// Stands for a secret that the file spells out. As long as a key has to be, so that the listing can be read.
pub(crate) const HIDDEN: &str = "(not shown here)";

type Read<V> = Box<dyn Fn(&TomlValue<'_>, &Path, &mut Report<'_>) -> Option<V>>;
type Write<V> = Box<dyn Fn(&V) -> Option<toml::Value>>;

/// How a value is read and written. `read` notes what is wrong; relative paths in the value start at its folder. `write`
/// returns nothing where the key is left out.
pub(crate) struct Codec<V> {
    pub(crate) read: Read<V>,
    pub(crate) write: Write<V>,
}

impl<V: 'static> Codec<V> {
    pub(crate) fn new(
        read: impl Fn(&TomlValue<'_>, &Path) -> Result<V, Problem> + 'static,
        write: impl Fn(&V) -> toml::Value + 'static,
    ) -> Self {
        Self {
            read: Box::new(move |value, folder, report| {
                let parsed = read(value, folder);
                parsed
                    .map_err(|problem| report.at(value.start(), problem))
                    .ok()
            }),
            write: Box::new(move |value| Some(write(value))),
        }
    }

    /// A string that is written as it is read.
    pub(crate) fn text(parse: fn(&str) -> Result<V, Problem>) -> Self
    where
        V: Display,
    {
        Self::new(move |value, _| parse(value.string()?), text)
    }

    /// One of several words.
    pub(crate) fn choice(choices: &'static [(&'static str, V)]) -> Self
    where
        V: Copy + PartialEq + Sync,
    {
        let word = move |value: &V| {
            let chosen = choices.iter().find(|(_, choice)| choice == value);
            text(&chosen.map_or("", |(word, _)| word))
        };
        Self::new(move |value, _| value.choice(choices), word)
    }

    /// A value that may be left out.
    pub(crate) fn optional(self) -> Codec<Option<V>> {
        let Self { read, write } = self;
        Codec {
            read: Box::new(move |value, folder, report| read(value, folder, report).map(Some)),
            write: Box::new(move |value| value.as_ref().and_then(&write)),
        }
    }

    /// A list. It is left out where it is empty.
    pub(crate) fn list(self) -> Codec<Vec<V>> {
        self.many(|value| value.list())
    }

    /// A list, or one value without brackets.
    pub(crate) fn list_or_one(self) -> Codec<Vec<V>> {
        self.many(|value| Ok(value.elements()))
    }

    fn many(
        self,
        elements: for<'t> fn(&TomlValue<'t>) -> Result<Vec<TomlValue<'t>>, Problem>,
    ) -> Codec<Vec<V>> {
        let Self { read, write } = self;
        Codec {
            read: Box::new(move |value, folder, report| {
                let elements = elements(value);
                let elements = elements
                    .map_err(|problem| report.at(value.start(), problem))
                    .ok()?;
                let elements = elements.iter();
                let parsed = elements.filter_map(|element| read(element, folder, report));
                Some(parsed.collect())
            }),
            write: Box::new(move |values| {
                let written: Vec<_> = values.iter().filter_map(&write).collect();
                (!written.is_empty()).then_some(toml::Value::Array(written))
            }),
        }
    }

    /// The same, for which a file may also write a shorter form than a table.
    pub(crate) fn or_short(
        self,
        is_short: fn(&TomlValue<'_>) -> bool,
        short: impl Fn(&TomlValue<'_>, &Path) -> Result<V, Problem> + 'static,
    ) -> Self {
        let Self { read, write } = self;
        Self {
            read: Box::new(move |value, folder, report| {
                if !is_short(value) {
                    return read(value, folder, report);
                }
                let parsed = short(value, folder);
                parsed
                    .map_err(|problem| report.at(value.start(), problem))
                    .ok()
            }),
            write,
        }
    }
}

impl<V: 'static> Codec<V> {
    /// The same, with a look at the value that was read.
    pub(crate) fn checked(self, check: fn(&V) -> Option<Problem>) -> Self {
        let Self { read, write } = self;
        Self {
            read: Box::new(move |value, folder, report| {
                let parsed = read(value, folder, report)?;
                if let Some(problem) = check(&parsed) {
                    report.at(value.start(), problem);
                }
                Some(parsed)
            }),
            write,
        }
    }
}

impl<V: 'static> Codec<Vec<V>> {
    /// The same list, which must not be empty.
    pub(crate) fn not_empty(self, problem: fn(&str) -> Problem) -> Self {
        let Self { read, write } = self;
        Self {
            read: Box::new(move |value, folder, report| {
                if value.list().is_ok_and(|list| list.is_empty()) {
                    report.at(value.start(), problem(value.key()));
                    return None;
                }
                read(value, folder, report)
            }),
            write,
        }
    }
}

fn text(value: &(impl Display + ?Sized)) -> toml::Value {
    toml::Value::String(value.to_string())
}

fn integer(value: impl Display) -> toml::Value {
    value
        .to_string()
        .parse()
        .map_or(toml::Value::Integer(i64::MAX), toml::Value::Integer)
}

pub(crate) fn string() -> Codec<String> {
    Codec::text(|text| Ok(text.to_owned()))
}

pub(crate) fn boolean() -> Codec<bool> {
    Codec::new(|value, _| value.boolean(), |value| (*value).into())
}

/// A path that starts at the folder of the file.
pub(crate) fn path() -> Codec<PathBuf> {
    Codec::new(
        |value, folder| Ok(folder.join(value.string()?)),
        |path| text(&path.display()),
    )
}

pub(crate) fn duration() -> Codec<Duration> {
    Codec::new(|value, _| read_duration(value), format_duration)
}

/// A duration that may be zero.
pub(crate) fn pause() -> Codec<Duration> {
    Codec::new(
        |value, _| match value.string() {
            Ok("0s") => Ok(Duration::ZERO),
            _ => read_duration(value),
        },
        format_duration,
    )
}

pub(crate) fn format_duration(duration: &Duration) -> toml::Value {
    text(&humantime::format_duration(*duration))
}

pub(crate) fn count<N: From<u16> + Copy + Display + 'static>() -> Codec<N> {
    Codec::new(
        |value, _| Ok(parse_count(&value.text()?)?.into()),
        |count| integer(count),
    )
}

/// A count that may be zero.
pub(crate) fn number() -> Codec<u16> {
    let parse = |value: &TomlValue<'_>| match value.text()?.as_str() {
        "0" => Ok(0),
        text => parse_count(text),
    };
    Codec::new(move |value, _| parse(value), |number| integer(number))
}

pub(crate) fn size() -> Codec<usize> {
    Codec::new(
        |value, _| parse_size(&value.text()?),
        |size| text(&format_size(*size)),
    )
}

pub(crate) fn head_size() -> Codec<usize> {
    Codec::new(
        |value, _| parse_head_size(&value.text()?),
        |size| text(&format_size(*size)),
    )
}

/// A secret. Only where it is gets written.
pub(crate) fn secret() -> Codec<Secret> {
    Codec::new(
        |value, folder| read_secret(value.string()?, folder),
        |secret| text(secret.reference().unwrap_or(HIDDEN)),
    )
}
