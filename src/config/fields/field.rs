//! One key of a table and the field of an option type that it fills.

use std::path::Path;

use crate::config::report::Report;
use crate::config::toml::{TomlTable, TomlValue};

use super::codec::Codec;

/// Reads a key into its field. Returns `false` if its value is missing or invalid.
type Read<T> = dyn Fn(TableReader<'_, '_>, &mut T, &mut Report<'_>) -> bool;

/// Returns the value of a field, if it is set.
type Write<T> = dyn Fn(&T) -> Option<toml::Value>;

/// One key of a table, which fills one field of `T`.
pub(crate) struct Field<T> {
    pub(crate) key: &'static str,
    read: Box<Read<T>>,
    write: Box<Write<T>>,
}

impl<T: 'static> Field<T> {
    /// `get` and `get_mut` must return the same field.
    pub(crate) fn new<V: 'static>(
        key: &'static str,
        get: fn(&T) -> &V,
        get_mut: fn(&mut T) -> &mut V,
        codec: Codec<V>,
    ) -> Self {
        let Codec { read, write } = codec;
        Self {
            key,
            read: Box::new(move |reader, options, report| {
                let Some(value) = reader.table.read(key, report, |value| Ok(*value)) else {
                    return !reader.table.requires(key);
                };
                let parsed = read(&value, reader.folder, report);
                let is_valid = parsed.is_some();
                if let Some(parsed) = parsed {
                    *get_mut(options) = parsed;
                }
                is_valid
            }),
            write: Box::new(move |options| write(get(options))),
        }
    }

    /// A table whose keys fill the same options as the keys around it.
    pub(crate) fn group(key: &'static str, fields: fn() -> Vec<Self>) -> Self {
        Self {
            key,
            read: Box::new(move |reader, options, report| {
                let read = reader.read_inner(key, report, |inner, report| {
                    inner.read(&fields(), options, report)
                });
                read.unwrap_or_else(|| !reader.table.has(key))
            }),
            write: Box::new(move |options| {
                let table = write_table(&fields(), options);
                (!table.is_empty()).then_some(table.into())
            }),
        }
    }
}

impl<T> Field<T> {
    /// Returns the value of the key as a Proxyfile writes it, or `None` if the key is left out.
    pub(crate) fn write(&self, options: &T) -> Option<toml::Value> {
        (self.write)(options)
    }
}

/// Creates a `Field` from a path of field names: `field!("queue", balancing.queue, number())`.
macro_rules! field {
    ($key:literal, $($name:ident).+, $codec:expr) => {
        $crate::config::fields::Field::new(
            $key,
            |it| &it.$($name).+,
            |it| &mut it.$($name).+,
            $codec,
        )
    };
}

pub(crate) use field;

/// Reads the keys of a table into an option type.
#[derive(Clone, Copy)]
pub(crate) struct TableReader<'a, 't> {
    pub(crate) table: &'a TomlTable<'t>,
    /// Folder against which relative paths are resolved.
    pub(crate) folder: &'a Path,
}

impl<'a, 't> TableReader<'a, 't> {
    /// Reads the keys that are set into `options`, and leaves its other fields unchanged. Returns false, after
    /// reporting the problem, if a key is invalid or a required one is missing.
    pub(crate) fn read<T>(
        self,
        fields: &[Field<T>],
        options: &mut T,
        report: &mut Report<'_>,
    ) -> bool {
        let mut is_valid = true;
        for field in fields {
            is_valid &= (field.read)(self, options, report);
        }
        is_valid
    }

    /// Reads the table `key` into `options`, if it is set.
    pub(crate) fn read_table<T>(
        self,
        key: &'static str,
        fields: &[Field<T>],
        options: &mut T,
        report: &mut Report<'_>,
    ) {
        self.read_inner(key, report, |inner, report| {
            inner.read(fields, options, report)
        });
    }

    /// Reads the table `key` with `read`, then reports its unknown keys. Returns `None` if it is missing or not a
    /// table.
    pub(crate) fn read_inner<R>(
        self,
        key: &'static str,
        report: &mut Report<'_>,
        read: impl FnOnce(TableReader<'_, 't>, &mut Report<'_>) -> R,
    ) -> Option<R> {
        let value = self.table.read(key, report, |value| Ok(*value))?;
        read_value(&value, self.folder, report, read)
    }

    /// Reads one key. Returns `None` if it is missing or invalid.
    pub(crate) fn read_key<V>(
        self,
        key: &'static str,
        codec: Codec<V>,
        report: &mut Report<'_>,
    ) -> Option<V> {
        let value = self.table.read(key, report, |value| Ok(*value))?;
        (codec.read)(&value, self.folder, report)
    }
}

/// Reads the table that `value` must be with `read`, then reports its unknown keys. Returns `None` if it is not a table.
pub(crate) fn read_value<'t, R>(
    value: &TomlValue<'t>,
    folder: &Path,
    report: &mut Report<'_>,
    read: impl FnOnce(TableReader<'_, 't>, &mut Report<'_>) -> R,
) -> Option<R> {
    let table = &report.accept(value.start(), value.table())?;
    let outcome = read(TableReader { table, folder }, report);
    table.finish(report);
    Some(outcome)
}

impl<V: 'static> Codec<V> {
    /// A table. `default` returns the values of keys that are not set.
    pub(crate) fn table(fields: fn() -> Vec<Field<V>>, default: impl Fn() -> V + 'static) -> Self {
        Self {
            read: Box::new(move |value, folder, report| {
                let mut options = default();
                let is_valid = read_value(value, folder, report, |reader, report| {
                    reader.read(&fields(), &mut options, report)
                });
                is_valid?.then_some(options)
            }),
            write: Box::new(move |options| Some(write_table(&fields(), options).into())),
        }
    }
}

/// Returns the table as a Proxyfile writes it.
pub(crate) fn write_table<T>(fields: &[Field<T>], options: &T) -> toml::Table {
    let entries = fields.iter();
    entries
        .filter_map(|field| Some((field.key.to_owned(), (field.write)(options)?)))
        .collect()
}
