//! A table that is printed page by page. Its columns may grow from page to page.

use std::io::{self, Write};

/// A table of `N` columns. The last one has no fixed width.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    head: Option<[&'static str; N]>,
    widths: [usize; N],
}

impl<const N: usize> Table<N> {
    pub(super) fn new(head: [&'static str; N]) -> Self {
        Self {
            head: Some(head),
            widths: head.map(str::len),
        }
    }

    /// Writes rows, and the head before the first of them.
    pub(super) fn write<'a>(
        &mut self,
        rows: impl Iterator<Item = [&'a str; N]> + Clone,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for row in rows.clone() {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if let Some(head) = self.head.take() {
            self.write_row(head, out)?;
        }
        rows.into_iter()
            .try_for_each(|row| self.write_row(row, out))
    }

    fn write_row(&self, row: [&str; N], out: &mut dyn Write) -> io::Result<()> {
        for (index, (cell, width)) in row.into_iter().zip(self.widths).enumerate() {
            if index + 1 == N {
                writeln!(out, "{cell}")?;
            } else {
                write!(out, "{cell:<width$}  ")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_head_is_written_once() {
        let mut out = Vec::new();
        let mut table = Table::new(["NAME", "STANDING"]);
        for page in [
            [["a", "served"], ["b.example", "waiting"]],
            [["c", "x"], ["d", "y"]],
        ] {
            table.write(page.into_iter(), &mut out).unwrap();
        }
        let expected = "\
NAME       STANDING
a          served
b.example  waiting
c          x
d          y
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
