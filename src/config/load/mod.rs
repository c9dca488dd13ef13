//! Loads a `Config` from a Proxyfile and flags, or from flags alone.

mod config_file;
mod config_load;
mod overrides;
mod quick;

pub use config_file::ConfigFile;
#[cfg(test)]
pub(crate) use config_load::ProxyfileText;
