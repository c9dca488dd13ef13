//! Where durable data lies.

use crate::config::report::{Error, Location, Problem, Report};
use std::fmt;
use std::path::{Path, PathBuf};

use super::data_directory::ProcessEnvironment;

/// Where durable data lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageUrl {
    /// In a directory: `file:DIR`.
    File(PathBuf),
}

impl StorageUrl {
    /// What a `--storage` flag names, else the default data directory.
    pub fn of_flag(flag: Option<&str>) -> Result<Self, Error> {
        let mut report = Report::new(Path::new(""), "");
        let storage = match flag {
            Some(text) => Self::parse(text).map_err(|problem| report.flag("--storage", problem)),
            None => match ProcessEnvironment::of_process().data_directory() {
                Some(directory) => Ok(Self::File(directory)),
                None => {
                    report.add(Location::CommandLine, Problem::NoDataDirectory);
                    Err(())
                }
            },
        };
        storage.map_err(|()| Error::Invalid(report.into_diagnostics()))
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

    /// The same storage with a relative path taken from `folder`.
    pub(crate) fn within(self, folder: &Path) -> Self {
        let Self::File(path) = self;
        Self::File(folder.join(path))
    }

    /// The storage of its own that `name` gets within this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self::File(self.directory().join(name))
    }

    /// The directory of file storage.
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
    fn other_storage_is_refused_with_the_form_that_works() {
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
