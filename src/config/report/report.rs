//! The collector of the problems that are found while a configuration is read.

use std::ops::Range;
use std::path::Path;

use super::diagnostic::{Diagnostic, Location};
use super::file_places::FilePlaces;
use super::problem::Problem;

/// Collects the problems while a configuration is read.
#[derive(Debug)]
pub(crate) struct Report<'t> {
    path: &'t Path,
    text: &'t str,
    found: Vec<Diagnostic>,
    files: FilePlaces,
}

impl<'t> Report<'t> {
    pub(crate) fn new(path: &'t Path, text: &'t str) -> Self {
        Self {
            path,
            text,
            found: Vec::new(),
            files: FilePlaces::default(),
        }
    }

    /// Reports a problem at a byte offset of the file.
    pub(crate) fn at(&mut self, offset: usize, problem: Problem) {
        self.add(self.location(offset), problem);
    }

    /// Records that `key` names a file at a byte offset of the Proxyfile.
    pub(crate) fn name_file(&mut self, offset: usize, key: &str, file: &Path) {
        self.files.add(file, key, self.location(offset));
    }

    /// Returns the places at which files are named.
    pub(crate) fn files(&self) -> &FilePlaces {
        &self.files
    }

    fn location(&self, offset: usize) -> Location {
        let (line, column) = position(self.text, offset);
        let path = self.path.to_owned();
        Location::File { path, line, column }
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

    /// Returns the text of the file.
    pub(crate) fn text(&self) -> &'t str {
        self.text
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
        // What the parser makes of a value that it cannot read has further problems, which only follow from it.
        let unreadable: Vec<_> = self
            .found
            .iter()
            .filter(|found| found.problem.is_syntax())
            .map(|found| found.location.clone())
            .collect();
        self.found
            .retain(|found| found.problem.is_syntax() || !unreadable.contains(&found.location));
        Diagnostic::sort(&mut self.found);
        self.found
    }

    /// Adds problems that were found elsewhere.
    pub(crate) fn extend(&mut self, found: Vec<Diagnostic>) {
        self.found.extend(found);
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
