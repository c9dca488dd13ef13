//! One problem of a file or a flag with its location, as one line. Knows no key of a Proxyfile.

use std::fmt;
use std::path::PathBuf;

use super::problem::Problem;

/// Location of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// A position in a file.
    File {
        /// The file as the user named it.
        path: PathBuf,
        /// Line, counted from one.
        line: usize,
        /// Column in characters, counted from one.
        column: usize,
    },
    /// A file as a whole, for example because a key is missing.
    WholeFile(PathBuf),
    /// The value of a flag or of its environment variable.
    Flag(String),
    /// The command line as a whole.
    CommandLine,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => {
                write!(f, "{}:{line}:{column}: ", path.display())
            }
            Self::WholeFile(path) => write!(f, "{}: ", path.display()),
            Self::Flag(flag) => write!(f, "{flag}: "),
            Self::CommandLine => Ok(()),
        }
    }
}

/// One problem with its location and its fix. Prints as one line.
#[derive(Debug)]
pub struct Diagnostic {
    pub(super) location: Location,
    pub(super) problem: Problem,
}

impl Diagnostic {
    pub(crate) fn new(location: Location, problem: Problem) -> Self {
        Self { location, problem }
    }

    /// Returns the place, or the whole line if the problem has no place in a file.
    pub(crate) fn once_by(&self) -> String {
        match &self.location {
            place @ Location::File { .. } => place.to_string(),
            _ => self.to_string(),
        }
    }

    /// Sorts problems: those with a line from top to bottom, then the others.
    pub(crate) fn sort(diagnostics: &mut [Self]) {
        diagnostics.sort_by_key(|found| match found.location {
            Location::File { line, column, .. } => (line, column),
            Location::WholeFile(_) | Location::Flag(_) | Location::CommandLine => (usize::MAX, 0),
        });
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.location, self.problem)
    }
}
