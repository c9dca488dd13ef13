//! The terminal that standard output may be.

use std::io::{self, IsTerminal, Write};

use rustix::termios::tcgetwinsize;

use crate::printable::takes_colours;

/// Facts about standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal {
    is_terminal: bool,
    has_colour: bool,
}

impl Terminal {
    /// Looks at standard output.
    pub(super) fn of_stdout() -> Self {
        Self {
            is_terminal: io::stdout().is_terminal(),
            has_colour: takes_colours(&io::stdout()),
        }
    }

    /// `true` if colours may be used.
    pub(super) fn has_colour(self) -> bool {
        self.has_colour
    }

    /// Writes a page in the place of the one before it. Of a page that is longer than the terminal, only the beginning is
    /// shown. If this is no terminal, the pages follow each other.
    pub(super) fn redraw(self, page: &[u8], is_first: bool, out: &mut dyn Write) -> io::Result<()> {
        if !self.is_terminal {
            if !is_first {
                writeln!(out)?;
            }
            return out.write_all(page);
        }
        let rows = tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_row);
        out.write_all(&redrawn(page, usize::from(rows)))
    }
}

/// Returns the control sequences and lines that put a page at the top of a terminal with this number of rows, or as it is
/// if that is unknown.
fn redrawn(page: &[u8], rows: usize) -> Vec<u8> {
    const HOME: &[u8] = b"\x1b[H";
    const CLEAR_LINE: &[u8] = b"\x1b[K";
    const CLEAR_BELOW: &[u8] = b"\x1b[J";
    // The cursor stands in the last row.
    let shown = if rows > 1 { rows - 1 } else { usize::MAX };
    let mut text = HOME.to_vec();
    for line in page.split_inclusive(|byte| *byte == b'\n').take(shown) {
        text.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        text.extend_from_slice(CLEAR_LINE);
        text.push(b'\n');
    }
    text.extend_from_slice(CLEAR_BELOW);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_the_place_of_the_last_one_and_fits_the_terminal() {
        let page = b"one\ntwo\nthree\n";
        assert_eq!(redrawn(page, 3), b"\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J");
        assert_eq!(
            redrawn(page, 0),
            b"\x1b[Hone\x1b[K\ntwo\x1b[K\nthree\x1b[K\n\x1b[J"
        );
    }

    #[test]
    fn pages_follow_each_other_where_there_is_no_terminal() {
        let plain = Terminal {
            is_terminal: false,
            has_colour: false,
        };
        let mut out = Vec::new();
        plain.redraw(b"one\n", true, &mut out).unwrap();
        plain.redraw(b"two\n", false, &mut out).unwrap();
        assert_eq!(out, b"one\n\ntwo\n");
    }
}
