//! Reading one value of a Proxyfile, and writing it back.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certs::Secret;
use crate::config::report::{Problem, Report};
use crate::config::toml::TomlValue;
use crate::config::value::{
    command_path, format_size, parse_count, parse_head_size, parse_size, read_duration, read_secret,
};

/// Placeholder for a secret that the file contains as text. It has the minimum length of a key, so that the listing is
/// a valid Proxyfile.
pub(crate) const HIDDEN: &str = "(not shown here)";

type Read<V> = Box<dyn Fn(&TomlValue<'_>, &Path, &mut Report<'_>) -> Option<V>>;
type Write<V> = Box<dyn Fn(&V) -> Option<toml::Value>>;

/// Reads and writes values of one type. `read` reports problems, and resolves relative paths in the value against the
/// folder that it is given. `write` returns `None` if the key is left out.
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
                report.accept(value.start(), read(value, folder))
            }),
            write: Box::new(move |value| Some(write(value))),
        }
    }

    /// A string whose type writes it as it was read.
    pub(crate) fn text(parse: fn(&str) -> Result<V, Problem>) -> Self
    where
        V: Display,
    {
        Self::new(move |value, _| parse(value.string()?), text)
    }

    /// One of several words.
    pub(crate) fn choice(choices: &'static [(&'static str, V)]) -> Self
    where
        V: Clone + PartialEq + Sync,
    {
        let word = move |value: &V| {
            let chosen = choices.iter().find(|(_, choice)| choice == value);
            text(&chosen.map_or("", |(word, _)| word))
        };
        Self::new(move |value, _| value.choice(choices), word)
    }

    /// An optional value. `None` leaves the key out.
    pub(crate) fn optional(self) -> Codec<Option<V>> {
        let Self { read, write } = self;
        Codec {
            read: Box::new(move |value, folder, report| read(value, folder, report).map(Some)),
            write: Box::new(move |value| value.as_ref().and_then(&write)),
        }
    }

    /// A list. An empty one leaves the key out.
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
                let elements = report.accept(value.start(), elements(value))?;
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

    /// Adds a short form that a file may use instead of a table.
    pub(crate) fn or_short(
        mut self,
        is_short: fn(&TomlValue<'_>) -> bool,
        short: impl Fn(&TomlValue<'_>, &Path) -> Result<V, Problem> + 'static,
    ) -> Self {
        let read = self.read;
        self.read = Box::new(move |value, folder, report| {
            if is_short(value) {
                report.accept(value.start(), short(value, folder))
            } else {
                read(value, folder, report)
            }
        });
        self
    }

    /// Adds a string as a short form that a file may use instead of a table.
    pub(crate) fn or_string<S: 'static>(
        mut self,
        string: Codec<S>,
        make: impl Fn(S) -> V + 'static,
    ) -> Self {
        let read = self.read;
        self.read = Box::new(move |value, folder, report| {
            if value.is_string() {
                (string.read)(value, folder, report).map(&make)
            } else {
                read(value, folder, report)
            }
        });
        self
    }

    /// Accepts `false`, which takes away what the site has.
    pub(crate) fn or_off(self) -> Self
    where
        V: Default,
    {
        self.or_short(
            |value| value.is_boolean(),
            |value, _| {
                if value.boolean()? {
                    Err(value.mismatch())
                } else {
                    Ok(V::default())
                }
            },
        )
    }

    /// Checks the value after it is read.
    pub(crate) fn checked(mut self, check: fn(&V) -> Option<Problem>) -> Self {
        let read = self.read;
        self.read = Box::new(move |value, folder, report| {
            let parsed = read(value, folder, report)?;
            if let Some(problem) = check(&parsed) {
                report.at(value.start(), problem);
            }
            Some(parsed)
        });
        self
    }

    /// Leaves the key out if its value is the default.
    pub(crate) fn omit(mut self, is_default: fn(&V) -> bool) -> Self {
        let write = self.write;
        self.write = Box::new(move |value| write(value).filter(|_| !is_default(value)));
        self
    }

    /// Changes the value after it is read.
    pub(crate) fn adjusted(mut self, adjust: fn(&mut V)) -> Self {
        let read = self.read;
        self.read = Box::new(move |value, folder, report| {
            let mut parsed = read(value, folder, report)?;
            adjust(&mut parsed);
            Some(parsed)
        });
        self
    }
}

impl<V: 'static> Codec<Vec<V>> {
    /// Rejects an empty list.
    pub(crate) fn not_empty(mut self, problem: fn(&str) -> Problem) -> Self {
        let read = self.read;
        self.read = Box::new(move |value, folder, report| {
            if value.list().is_ok_and(|list| list.is_empty()) {
                report.at(value.start(), problem(value.key()));
                return None;
            }
            read(value, folder, report)
        });
        self
    }
}

/// Writes a value as a string.
pub(crate) fn text(value: &(impl Display + ?Sized)) -> toml::Value {
    toml::Value::String(value.to_string())
}

fn integer(value: &impl Display) -> toml::Value {
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

/// A path, relative to the folder of the file.
pub(crate) fn path() -> Codec<PathBuf> {
    Codec {
        read: Box::new(read_path),
        write: Box::new(|path| Some(text(&path.display()))),
    }
}

/// Reads a path, and remembers where the file names it.
pub(crate) fn read_path(
    value: &TomlValue<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<PathBuf> {
    let path = report.accept(value.start(), value.string())?;
    let path = folder.join(path);
    report.name_file(value.start(), value.key(), &path);
    Some(path)
}

/// The path of a command, relative to the folder of the file.
pub(crate) fn command() -> Codec<PathBuf> {
    Codec {
        read: Box::new(|value, folder, report| {
            let path = match report.accept(value.start(), value.string())? {
                "" => {
                    report.at(value.start(), Problem::NoHook(value.key().to_owned()));
                    return None;
                }
                path => command_path(folder, path),
            };
            report.name_file(value.start(), value.key(), &path);
            Some(path)
        }),
        write: Box::new(|path| Some(text(&path.display()))),
    }
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
    Codec::new(|value, _| Ok(parse_count(&value.text()?)?.into()), integer)
}

/// A count that may be zero.
pub(crate) fn number() -> Codec<u16> {
    let parse = |value: &TomlValue<'_>| match value.text()?.as_str() {
        "0" => Ok(0),
        text => parse_count(text),
    };
    Codec::new(move |value, _| parse(value), integer)
}

pub(crate) fn size() -> Codec<usize> {
    sized(parse_size)
}

pub(crate) fn head_size() -> Codec<usize> {
    sized(parse_head_size)
}

/// A size in bytes of any integer type.
pub(crate) fn sized<N: TryInto<usize> + Copy + 'static>(
    parse: fn(&str) -> Result<N, Problem>,
) -> Codec<N> {
    Codec::new(
        move |value, _| parse(&value.text()?),
        |size| text(&format_size((*size).try_into().unwrap_or(usize::MAX))),
    )
}

/// A secret. Written as a reference to its place, never as its text.
pub(crate) fn secret() -> Codec<Secret> {
    Codec {
        read: Box::new(read_secret),
        write: Box::new(|secret| Some(text(secret.reference().unwrap_or(HIDDEN)))),
    }
}
