//! One key of a table and the field of an option type that it stands for.

use std::path::Path;

use crate::config::report::Report;
use crate::config::value::{TomlTable, TomlValue};

use super::codec::Codec;

/// One key of a table, with the way to its field in `T`.
pub(crate) struct Field<T> {
    pub(crate) key: &'static str,
    read: Box<dyn Fn(TableReader<'_, '_>, &mut T, &mut Report<'_>) -> bool>,
    write: Box<dyn Fn(&T) -> Option<toml::Value>>,
}

impl<T> Field<T> {
    /// `get` and `get_mut` lead to the same field.
    pub(crate) fn new<V: 'static>(
        key: &'static str,
        get: fn(&T) -> &V,
        get_mut: fn(&mut T) -> &mut V,
        codec: Codec<V>,
    ) -> Self
    where
        T: 'static,
    {
        let Codec { read, write } = codec;
        Self {
            key,
            read: Box::new(move |reader, options, report| {
                let Some(value) = reader.table.read(key, report, |value| Ok(*value)) else {
                    return !reader.table.requires(key);
                };
                match read(&value, reader.folder, report) {
                    Some(parsed) => *get_mut(options) = parsed,
                    None => return false,
                }
                true
            }),
            write: Box::new(move |options| write(get(options))),
        }
    }

    /// A table whose keys fill the same options as those around it.
    pub(crate) fn group(key: &'static str, fields: fn() -> Vec<Self>) -> Self
    where
        T: 'static,
    {
        Self {
            key,
            read: Box::new(move |reader, options, report| {
                let Some(table) = reader.table.read(key, report, TomlValue::table) else {
                    return !reader.table.has(key);
                };
                let reader = TableReader {
                    table: &table,
                    ..reader
                };
                let is_right = reader.read(&fields(), options, report);
                table.finish(report);
                is_right
            }),
            write: Box::new(move |options| {
                let table = write_table(&fields(), options);
                (!table.is_empty()).then_some(table.into())
            }),
        }
    }

    /// The value of the key as a Proxyfile writes it. `None` where the key is left out.
    pub(crate) fn write(&self, options: &T) -> Option<toml::Value> {
        (self.write)(options)
    }
}

/// The field below a path of names: `field!("queue", balancing.queue, number())`.
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
    /// Where relative paths start.
    pub(crate) folder: &'a Path,
}

impl TableReader<'_, '_> {
    /// Reads the keys that are there over the values in `options`. Returns false if one of them is wrong, or a required
    /// one is missing; the problem has been noted then.
    pub(crate) fn read<T>(
        self,
        fields: &[Field<T>],
        options: &mut T,
        report: &mut Report<'_>,
    ) -> bool {
        let mut is_right = true;
        for field in fields {
            is_right &= (field.read)(self, options, report);
        }
        is_right
    }

    /// Reads the keys of the table `key`, if it is there, over the values in `options`.
    pub(crate) fn read_table<T>(
        self,
        key: &'static str,
        fields: &[Field<T>],
        options: &mut T,
        report: &mut Report<'_>,
    ) {
        if let Some(table) = self.table.read(key, report, TomlValue::table) {
            let reader = TableReader {
                table: &table,
                ..self
            };
            reader.read(fields, options, report);
            table.finish(report);
        }
    }

    /// Reads one key. Returns `None` where it is missing or wrong.
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

impl<V: 'static> Codec<V> {
    /// A table. `default` has the values of the keys that are left out.
    pub(crate) fn table(fields: fn() -> Vec<Field<V>>, default: impl Fn() -> V + 'static) -> Self {
        Self {
            read: Box::new(move |value, folder, report| {
                let table = value.table();
                let table = table
                    .map_err(|problem| report.at(value.start(), problem))
                    .ok()?;
                let reader = TableReader {
                    table: &table,
                    folder,
                };
                let mut options = default();
                let is_right = reader.read(&fields(), &mut options, report);
                table.finish(report);
                is_right.then_some(options)
            }),
            write: Box::new(move |options| Some(write_table(&fields(), options).into())),
        }
    }
}

/// The table as a Proxyfile writes it.
pub(crate) fn write_table<T>(fields: &[Field<T>], options: &T) -> toml::Table {
    let entries = fields.iter();
    entries
        .filter_map(|field| Some((field.key.to_owned(), field.write(options)?)))
        .collect()
}
