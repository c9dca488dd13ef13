//! The storage of durable data, as a URL.

use crate::config::report::{Error, Location, Problem, Report};
use std::fmt;
use std::path::{Path, PathBuf};

use super::data_directory::ProcessEnvironment;

/// Storage of durable data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageUrl {
    /// A directory: `file:DIR`.
    File(PathBuf),
}

impl StorageUrl {
    /// Parses the `--storage` flag, or returns the default data directory if it is not set.
    pub fn of_flag(flag: Option<&str>) -> Result<Self, Error> {
        let mut report = Report::new(Path::new(""), "");
        let storage = match flag {
            Some(text) => report.accept_flag("--storage", Self::parse(text)),
            None => Self::default_storage(&mut report),
        };
        storage.ok_or_else(|| Error::Invalid(report.into_diagnostics()))
    }

    /// Returns the default data directory, or reports that there is none.
    pub(crate) fn default_storage(report: &mut Report<'_>) -> Option<Self> {
        let directory = ProcessEnvironment::of_process().data_directory();
        if directory.is_none() {
            report.add(Location::CommandLine, Problem::NoDataDirectory);
        }
        directory.map(Self::File)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        if let Some(path) = text.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(Problem::Storage(text.to_owned())),
                _ => Ok(Self::File(path.into())),
            };
        }
        match text.split_once("://") {
            Some((scheme, _)) => Err(Problem::StorageScheme(scheme.to_owned())),
            None => Err(Problem::Storage(text.to_owned())),
        }
    }

    /// Resolves a relative path against `folder`.
    pub(crate) fn within(self, folder: &Path) -> Self {
        let Self::File(path) = self;
        Self::File(folder.join(path))
    }

    /// Returns a separate storage below this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self::File(self.directory().join(name))
    }

    /// Returns the directory of file storage.
    #[must_use]
    pub fn directory(&self) -> &Path {
        let Self::File(path) = self;
        path
    }
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file:{}", self.directory().display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_storage_is_read_in_both_forms() {
        for (text, directory) in [
            ("file:/var/lib/proxy", "/var/lib/proxy"),
            ("file:///var/lib/proxy", "/var/lib/proxy"),
            ("file:data", "data"),
        ] {
            let storage = StorageUrl::parse(text).unwrap();
            assert_eq!(storage.directory(), Path::new(directory));
        }
    }

    #[test]
    fn unsupported_storage_is_rejected_with_a_valid_form() {
        for (text, part) in [
            ("redis://localhost", "only `file:` storage exists"),
            ("/var/lib/proxy", "use `file:DIRECTORY`"),
            ("file:", "use `file:DIRECTORY`"),
        ] {
            let message = StorageUrl::parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
