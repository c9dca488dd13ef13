//! Loads a `Config` from a Proxyfile and flags, or from flags alone.

mod command_line_sites;
mod config_file;
mod config_load;
mod flag_overrides;

pub use config_file::ConfigFile;
#[cfg(test)]
pub(crate) use config_load::ProxyfileText;
