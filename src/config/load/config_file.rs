//! A Proxyfile that is read more than once.

use crate::config::model::{Config, Flags};
use crate::config::report::Error;
use std::path::{Path, PathBuf};

use super::config_load::ProxyfileText;

/// Where a configuration is read from: a file, and the flags that win over it.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
    flags: Flags,
}

impl ConfigFile {
    /// The Proxyfile at `path` under `flags`.
    #[must_use]
    pub fn new(path: PathBuf, flags: Flags) -> Self {
        Self { path, flags }
    }

    /// The file as the user named it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. Blocks.
    pub fn read(&self) -> Result<Config, Error> {
        Config::from_proxyfile(&self.path, &self.text()?, &self.flags)
    }

    /// Reads the file again for a proxy that runs with `running`: what can only be set at a start is a problem where it
    /// has changed. Blocks.
    pub fn read_again(&self, running: &Config) -> Result<Config, Error> {
        let source = ProxyfileText {
            path: &self.path,
            text: &self.text()?,
        };
        Config::load(source, &self.flags, Some(running))
    }

    fn text(&self) -> Result<String, Error> {
        std::fs::read_to_string(&self.path).map_err(|source| Error::Read {
            path: self.path.clone(),
            source,
        })
    }
}
