//! The collector of the problems that are found while a configuration is read.

use std::ops::Range;
use std::path::Path;

use super::diagnostic::{Diagnostic, Location};
use super::problem::Problem;

/// Collects the problems while a configuration is read.
#[derive(Debug)]
pub(crate) struct Report<'t> {
    path: &'t Path,
    text: &'t str,
    found: Vec<Diagnostic>,
}

impl<'t> Report<'t> {
    pub(crate) fn new(path: &'t Path, text: &'t str) -> Self {
        Self {
            path,
            text,
            found: Vec::new(),
        }
    }

    /// Reports a problem at a byte offset of the file.
    pub(crate) fn at(&mut self, offset: usize, problem: Problem) {
        let (line, column) = position(self.text, offset);
        let path = self.path.to_owned();
        self.add(Location::File { path, line, column }, problem);
    }

    /// Returns the value of `outcome`, or reports its problem at a byte offset of the file.
    pub(crate) fn accept<T, E: Into<Problem>>(
        &mut self,
        offset: usize,
        outcome: Result<T, E>,
    ) -> Option<T> {
        outcome.map_err(|error| self.at(offset, error.into())).ok()
    }

    /// Returns the value of `outcome`, or reports its problem with a flag.
    pub(crate) fn accept_flag<T, E: Into<Problem>>(
        &mut self,
        flag: &str,
        outcome: Result<T, E>,
    ) -> Option<T> {
        outcome.map_err(|error| self.flag(flag, error.into())).ok()
    }

    /// Reports a problem with the file as a whole.
    pub(crate) fn whole_file(&mut self, problem: Problem) {
        let path = self.path.to_owned();
        self.add(Location::WholeFile(path), problem);
    }

    /// Reports a problem with a flag.
    pub(crate) fn flag(&mut self, flag: &str, problem: Problem) {
        self.add(Location::Flag(flag.to_owned()), problem);
    }

    pub(crate) fn add(&mut self, location: Location, problem: Problem) {
        self.found.push(Diagnostic { location, problem });
    }

    /// Returns the line of a byte offset.
    pub(crate) fn line(&self, offset: usize) -> usize {
        position(self.text, offset).0
    }

    /// Returns true if no line ends within these byte offsets.
    pub(crate) fn is_one_line(&self, offsets: Range<usize>) -> bool {
        let text = self.text.get(offsets);
        text.is_some_and(|text| !text.contains('\n'))
    }

    /// Returns true if a quote stands at the byte offset.
    pub(crate) fn is_quoted(&self, offset: usize) -> bool {
        self.text
            .get(offset..)
            .is_some_and(|rest| rest.starts_with(['"', '\'']))
    }

    /// Returns true if nothing was reported.
    pub(crate) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// Returns all reported problems: those of the file from top to bottom, then the others.
    pub(crate) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|found| match found.location {
            Location::File { line, column, .. } => (line, column),
            Location::WholeFile(_) | Location::Flag(_) | Location::CommandLine => (usize::MAX, 0),
        });
        self.found
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "ä = 1\nbc = 2\n";
        for (offset, expected) in [
            (0, (1, 1)),
            (2, (1, 2)),
            (7, (2, 1)),
            (8, (2, 2)),
            (14, (3, 1)),
            (99, (3, 1)),
        ] {
            assert_eq!(position(text, offset), expected, "{offset}");
        }
    }
}
