//! A Proxyfile and its flags, which can be loaded again.

use crate::config::model::{Config, Flags};
use crate::config::report::Error;
use std::path::{Path, PathBuf};

use super::config_load::ProxyfileText;

/// Source of a configuration: a file and the flags that override it.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
    flags: Flags,
}

impl ConfigFile {
    /// Creates a source from a Proxyfile and flags.
    #[must_use]
    pub fn new(path: PathBuf, flags: Flags) -> Self {
        Self { path, flags }
    }

    /// Returns the path as the user wrote it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Loads the configuration. Blocks.
    pub fn read(&self) -> Result<Config, Error> {
        self.load(None)
    }

    /// Loads the configuration for a proxy that runs with `running`. A changed setting that needs a restart is a
    /// problem. Blocks.
    pub fn read_again(&self, running: &Config) -> Result<Config, Error> {
        self.load(Some(running))
    }

    /// Returns the files that the Proxyfile names, also if it is not valid. Blocks.
    #[must_use]
    pub fn named_files(&self) -> Vec<PathBuf> {
        let Ok(text) = std::fs::read_to_string(&self.path) else {
            return Vec::new();
        };
        let source = ProxyfileText {
            path: &self.path,
            text: &text,
            checks_files: false,
        };
        Config::read(source, &self.flags, None).0.read_files()
    }

    fn load(&self, running: Option<&Config>) -> Result<Config, Error> {
        let text = std::fs::read_to_string(&self.path).map_err(|source| Error::Read {
            path: self.path.clone(),
            source,
        })?;
        let source = ProxyfileText {
            path: &self.path,
            text: &text,
            checks_files: true,
        };
        Config::load(source, &self.flags, running)
    }
}
