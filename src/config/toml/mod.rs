//! The TOML of a Proxyfile: its tables, its values, and its syntax errors. Knows no option type.

mod foreign_format;
mod repeated_key;
mod syntax_errors;
mod toml_table;
mod toml_value;

pub(crate) use syntax_errors::report_toml_errors;
pub(crate) use toml_table::TomlTable;
pub(crate) use toml_value::{TomlValue, choose};
