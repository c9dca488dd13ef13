//! A table that is printed page by page. Its columns may grow from page to page.

use std::io::{self, Write};

/// Paints the words of states, if colours are on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Painter {
    is_on: bool,
}

impl Painter {
    /// No colours.
    pub(super) const PLAIN: Self = Self { is_on: false };

    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on }
    }

    /// Returns a cell with the colour of the state that it names.
    fn painted(self, cell: &str) -> String {
        const GREEN: &str = "32";
        const YELLOW: &str = "33";
        const RED: &str = "31";
        let colour = match cell {
            "up" | "served" | "from-files" => GREEN,
            "slow-start" | "waiting" | "ordering" | "backing-off" | "held" => YELLOW,
            "down" | "ejected" | "expired" | "refused" => RED,
            _ => return cell.to_owned(),
        };
        if self.is_on {
            format!("\x1b[{colour}m{cell}\x1b[0m")
        } else {
            cell.to_owned()
        }
    }

    /// Returns a heading.
    pub(super) fn heading(self, text: &str) -> String {
        if self.is_on {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A table of `N` columns. The last one has no fixed width, unless it is aligned to the right.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    head: Option<[&'static str; N]>,
    widths: [usize; N],
    is_right: [bool; N],
    painter: Painter,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(head: [&'static str; N]) -> Self {
        Self {
            head: Some(head),
            widths: head.map(str::len),
            is_right: [false; N],
            painter: Painter::PLAIN,
        }
    }

    /// Aligns these columns to the right.
    pub(super) fn right(mut self, columns: &[usize]) -> Self {
        for column in columns {
            self.is_right[*column] = true;
        }
        self
    }

    /// Paints states.
    pub(super) fn painted(self, painter: Painter) -> Self {
        Self { painter, ..self }
    }

    /// Writes rows, and the head before the first of them.
    pub(super) fn write<'a>(
        &mut self,
        rows: impl Iterator<Item = [&'a str; N]> + Clone,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.fit(rows.clone());
        self.write_head(out)?;
        rows.into_iter()
            .try_for_each(|row| self.write_row(row, out))
    }

    /// Widens the columns for these rows.
    pub(super) fn fit<'a>(&mut self, rows: impl Iterator<Item = [&'a str; N]>) {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
    }

    /// Writes the head, unless it is written already.
    pub(super) fn write_head(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self.head.take() {
            Some(head) => writeln!(out, "{}", self.painter.heading(&self.line(head))),
            None => Ok(()),
        }
    }

    /// Writes one row.
    pub(super) fn write_row(&self, row: [&str; N], out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.line(row))
    }

    fn line(&self, row: [&str; N]) -> String {
        let mut line = String::new();
        for (index, cell) in row.into_iter().enumerate() {
            let blank = self.widths[index].saturating_sub(cell.chars().count());
            let blank = " ".repeat(blank);
            let cell = self.painter.painted(cell);
            if index > 0 {
                line.push_str("  ");
            }
            if self.is_right[index] {
                line = line + &blank + &cell;
            } else if index + 1 == N {
                line += &cell;
            } else {
                line = line + &cell + &blank;
            }
        }
        line.truncate(line.trim_end().len());
        line
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

    #[test]
    fn numbers_are_aligned_to_the_right_and_states_are_painted() {
        let write = |painter| {
            let mut out = Vec::new();
            let mut table = Table::new(["NAME", "STATE", "COUNT"]).right(&[2]);
            table = table.painted(painter);
            let rows = [["a", "up", "7"], ["b", "down", "123456"]];
            table.write(rows.into_iter(), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let plain = "\
NAME  STATE   COUNT
a     up          7
b     down   123456
";
        assert_eq!(write(Painter::PLAIN), plain);
        let painted = "\
\x1b[1mNAME  STATE   COUNT\x1b[0m
a     \x1b[32mup\x1b[0m          7
b     \x1b[31mdown\x1b[0m   123456
";
        assert_eq!(write(Painter::new(true)), painted);
    }
}
