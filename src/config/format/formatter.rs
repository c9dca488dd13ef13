//! How a Proxyfile is written out so that all of them look alike: the same words in the same order, with their comments, on
//! other places of the line. Works on TOML's tokens, so nothing is lost that a parsed document does not have.

use std::path::Path;

use crate::config::report::{Error, Report, note_toml_errors};
use toml::de::DeTable;
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// What each level of brackets is indented by that goes over several lines.
const INDENT: usize = 2;

/// The text of a Proxyfile in the one form that all have: a space around `=` and after commas, no space at the ends of lines,
/// one empty line at the most, and one before each table with its comments. Signs `=` one below the other stay so, and
/// comments behind values stay in their columns. What is no TOML is refused.
pub fn format_proxyfile(path: &Path, text: &str) -> Result<String, Error> {
    let mut report = Report::new(path, text);
    let (_, errors) = DeTable::parse_recoverable(text);
    note_toml_errors(errors, &mut report);
    if !report.is_clean() {
        return Err(Error::Invalid(report.into_diagnostics()));
    }
    Ok(write(&lines(text)))
}

/// A token that says something.
#[derive(Debug)]
struct Piece<'t> {
    kind: TokenKind,
    text: &'t str,
    column: usize,
    /// Whether there is space before it.
    is_apart: bool,
}

/// A line, or what reaches to the end of one when a string in it has several.
#[derive(Debug, Default)]
struct Line<'t> {
    pieces: Vec<Piece<'t>>,
    comment: Option<Piece<'t>>,
    /// How many brackets are open before it.
    depth: usize,
    /// Whether it is a comment that goes on below the one of the line before.
    goes_on: bool,
}

impl Line<'_> {
    fn is_blank(&self) -> bool {
        self.pieces.is_empty() && self.comment.is_none()
    }

    fn is_comment(&self) -> bool {
        self.pieces.is_empty() && self.comment.is_some() && !self.goes_on
    }

    fn is_table(&self) -> bool {
        self.depth == 0 && self.starts_with(TokenKind::LeftSquareBracket)
    }

    fn starts_with(&self, kind: TokenKind) -> bool {
        self.pieces.first().is_some_and(|piece| piece.kind == kind)
    }

    /// Where the sign of an entry stands among the pieces.
    fn equals(&self) -> Option<usize> {
        let mut kinds = self.pieces.iter().map(|piece| piece.kind);
        let is_entry = self.depth == 0 && !self.is_table();
        kinds
            .position(|kind| kind == TokenKind::Equals)
            .filter(|_| is_entry)
    }

    /// Where its first word stood.
    fn start(&self) -> usize {
        let first = self.pieces.first().or(self.comment.as_ref());
        first.map_or(0, |piece| piece.column)
    }

    fn indent(&self) -> usize {
        let closing = self.pieces.iter().take_while(|piece| closes(piece.kind));
        INDENT * self.depth.saturating_sub(closing.count())
    }
}

fn opens(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket
    )
}

fn closes(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket
    )
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = vec![Line::default()];
    let (mut depth, mut column, mut is_apart) = (0_usize, 0, false);
    for token in Source::new(text).lex() {
        let (kind, span) = (token.kind(), token.span());
        let words = &text[span.start()..span.end()];
        let piece = Piece {
            kind,
            text: words,
            column,
            is_apart,
        };
        column = match words.rsplit_once('\n') {
            Some((_, last)) => last.chars().count(),
            None => column + words.chars().count(),
        };
        is_apart = kind == TokenKind::Whitespace;
        let line = lines
            .last_mut()
            .expect("there is a line from the beginning");
        match kind {
            TokenKind::Whitespace | TokenKind::Eof => {}
            TokenKind::Newline => lines.push(Line {
                depth,
                ..Line::default()
            }),
            TokenKind::Comment => line.comment = Some(piece),
            _ => {
                depth = match (opens(kind), closes(kind)) {
                    (true, _) => depth + 1,
                    (_, true) => depth.saturating_sub(1),
                    _ => depth,
                };
                line.pieces.push(piece);
            }
        }
    }
    mark_comments_that_go_on(&mut lines);
    lines
}

fn mark_comments_that_go_on(lines: &mut [Line<'_>]) {
    let mut above = None;
    for line in lines {
        let column = line.comment.as_ref().map(|comment| comment.column);
        line.goes_on = line.pieces.is_empty() && column.is_some() && column == above;
        above = column.filter(|_| !line.pieces.is_empty() || line.goes_on);
    }
}

fn write(lines: &[Line<'_>]) -> String {
    let apart = set_apart(lines);
    let widths = widths(lines);
    let mut out = String::new();
    let mut is_gap = false;
    let mut comment_column = 0;
    for (number, line) in lines.iter().enumerate() {
        is_gap |= line.is_blank() || apart[number];
        if line.is_blank() {
            continue;
        }
        if is_gap && !out.is_empty() {
            out.push('\n');
        }
        is_gap = false;
        let start = out.len();
        if !line.goes_on {
            out.push_str(&" ".repeat(line.indent()));
        }
        write_code(line, widths[number], &mut out);
        if let Some(comment) = &line.comment {
            let row = out[start..].rsplit('\n').next().unwrap_or_default();
            let width = row.chars().count();
            let column = match (line.goes_on, line.pieces.is_empty()) {
                (true, _) => comment_column,
                (_, true) => width,
                _ => column(line, comment, width),
            };
            out.push_str(&" ".repeat(column - width.min(column)));
            out.push_str(comment.text.trim_end());
            comment_column = column;
        }
        out.push('\n');
    }
    out
}

/// Where a comment goes behind a value that ends in column `width`: where it was, if there is room.
fn column(line: &Line<'_>, comment: &Piece<'_>, width: usize) -> usize {
    let last = line.pieces.last();
    let end = last.map_or(0, |piece| match piece.text.rsplit_once('\n') {
        Some((_, row)) => row.chars().count(),
        None => piece.column + piece.text.chars().count(),
    });
    let is_whole = line.pieces.iter().all(|piece| !piece.text.contains('\n'));
    let moved = if is_whole {
        (comment.column + line.indent()).saturating_sub(line.start())
    } else {
        comment.column
    };
    match comment.column - end.min(comment.column) {
        0 | 1 => width + 1,
        _ => moved.max(width + 1),
    }
}

/// Which lines have an empty one before them whether they had it or not: each table, above the comments that stand on it.
fn set_apart(lines: &[Line<'_>]) -> Vec<bool> {
    let mut apart = vec![false; lines.len()];
    for (number, _) in lines.iter().enumerate().filter(|(_, line)| line.is_table()) {
        let comments = lines[..number].iter().rev();
        let comments = comments.take_while(|line| line.is_comment()).count();
        apart[number - comments] = true;
    }
    apart
}

/// How wide the keys of the lines are: as wide as the widest of their neighbours, where the signs behind them stand one below
/// the other.
fn widths(lines: &[Line<'_>]) -> Vec<usize> {
    let mut widths = Vec::with_capacity(lines.len());
    for run in lines.chunk_by(|one, other| one.equals().is_some() && other.equals().is_some()) {
        let signs = run.iter().filter_map(|line| {
            let sign = &line.pieces[line.equals()?];
            Some(sign.column - line.start())
        });
        let signs: Vec<_> = signs.collect();
        let is_aligned = signs.len() > 1 && signs.iter().all(|sign| *sign == signs[0]);
        let widest = run.iter().map(key_width).max();
        let width = widest.filter(|_| is_aligned).unwrap_or_default();
        widths.extend(run.iter().map(|_| width));
    }
    widths
}

fn key_width(line: &Line<'_>) -> usize {
    let mut key = String::new();
    write_pieces(&line.pieces[..line.equals().unwrap_or_default()], &mut key);
    key.chars().count()
}

fn write_code(line: &Line<'_>, width: usize, out: &mut String) {
    let Some(sign) = line.equals() else {
        return write_pieces(&line.pieces, out);
    };
    let (key, value) = line.pieces.split_at(sign);
    write_pieces(key, out);
    out.push_str(&" ".repeat(width.saturating_sub(key_width(line)) + 1));
    write_pieces(value, out);
}

fn write_pieces(pieces: &[Piece<'_>], out: &mut String) {
    let mut before: Option<&Piece<'_>> = None;
    for (number, piece) in pieces.iter().enumerate() {
        let is_last = pieces.get(number + 1).is_some_and(|next| closes(next.kind));
        if piece.kind == TokenKind::Comma && is_last {
            continue;
        }
        if before.is_some_and(|before| is_spaced(before, piece)) {
            out.push(' ');
        }
        out.push_str(piece.text);
        before = Some(piece);
    }
}

fn is_spaced(before: &Piece<'_>, piece: &Piece<'_>) -> bool {
    use TokenKind::{
        Comma, Dot, Equals, LeftCurlyBracket, LeftSquareBracket, RightCurlyBracket,
        RightSquareBracket,
    };
    match (before.kind, piece.kind) {
        (_, Comma | Dot) | (Dot, _) | (LeftCurlyBracket, RightCurlyBracket) => false,
        (Equals | Comma | LeftCurlyBracket, _) | (_, Equals | RightCurlyBracket) => true,
        (LeftSquareBracket, _) | (_, RightSquareBracket) => false,
        // Between the date and the time of day.
        _ => piece.is_apart,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format(text: &str) -> String {
        format_proxyfile(Path::new("Proxyfile"), text).unwrap()
    }

    #[test]
    fn spaces_stand_where_they_belong() {
        for (written, formatted) in [
            ("", ""),
            ("\n\n", ""),
            ("a=1", "a = 1\n"),
            ("  a  =\t1  \r\n\r\n\r\n\r\nb=2", "a = 1\n\nb = 2\n"),
            ("\u{feff}a = 1\n", "a = 1\n"),
            ("[ sites . \"x\" ]\na . b=[ ]", "[sites.\"x\"]\na.b = []\n"),
            ("[[ issuers ]]\n", "[[issuers]]\n"),
            (
                "a={b=1,c = [1 ,2,],d={ }}",
                "a = { b = 1, c = [1, 2], d = {} }\n",
            ),
            ("a=[{b=1},{c=2}]", "a = [{ b = 1 }, { c = 2 }]\n"),
            (
                "a = 1979-05-27 07:32:00.5\nb = -1.5e+3",
                "a = 1979-05-27 07:32:00.5\nb = -1.5e+3\n",
            ),
            ("a = '''x\n  y '''  # c  \n", "a = '''x\n  y '''  # c\n"),
        ] {
            assert_eq!(format(written), formatted, "{written:?}");
        }
    }

    #[test]
    fn tables_stand_apart_with_the_comments_above_them() {
        let written =
            "# top\na = 1\n# of x\n# too\n[x]\nb = 1\n\n\n# of y\n[y]\n[y.z]\n# of c\nc = 1\n";
        let formatted =
            "# top\na = 1\n\n# of x\n# too\n[x]\nb = 1\n\n# of y\n[y]\n\n[y.z]\n# of c\nc = 1\n";
        assert_eq!(format(written), formatted);
        assert_eq!(format("# top\n[x]\n"), "# top\n[x]\n");
    }

    #[test]
    fn what_stands_in_columns_stays_in_columns() {
        let columns =
            "a    = 1      # one\nlong = \"two\"  # two\n              # and more\nb = 3 # three\n";
        let spread = "b = 3 # three\n";
        let aligned = columns.strip_suffix(spread).unwrap();
        assert_eq!(format(aligned), aligned);
        assert_eq!(format("a     = 1\nlong  = 2\n"), "a    = 1\nlong = 2\n");
        assert_eq!(format("a     = 1\nlong = 2\n"), "a = 1\nlong = 2\n");
        assert_eq!(
            format("  a=1    # c\n  b=[1,2]# d\n"),
            "a = 1  # c\nb = [1, 2] # d\n"
        );
    }

    #[test]
    fn lists_over_several_lines_are_indented() {
        let written = "a = [\n1,# one\n\n\n    {b=[\n2,\n]},\n# end\n]\nc=1\n";
        let formatted = "a = [\n  1, # one\n\n  { b = [\n      2,\n  ] },\n  # end\n]\nc = 1\n";
        assert_eq!(format(written), formatted);
    }

    #[test]
    fn what_is_no_toml_is_refused_where_it_is_wrong() {
        let refused = format_proxyfile(Path::new("Proxyfile"), "a = 1\nb = [\n");
        let told = refused.unwrap_err().to_string();
        assert!(told.starts_with("Proxyfile:"), "{told}");
        assert!(format_proxyfile(Path::new("x"), "a = 1\na = 2\n").is_err());
    }

    fn piece() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "a",
            "b",
            "\"q x\"",
            "'l'",
            "=",
            "=",
            ".",
            ",",
            "[",
            "]",
            "{",
            "}",
            "[[",
            "]]",
            " ",
            "  ",
            "\t",
            "\n",
            "\n",
            "\r\n",
            "# c",
            "#| d = 1  ",
            "1",
            "2.5",
            "true",
            "1979-05-27",
            "07:32:00",
            "\"\"\"x\n y\"\"\"",
            "'''\n'''",
            "a = 1\n",
            "b = [1,\n 2]\n",
            "[t]\n",
            "c = { d = 1,}\n",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn it_says_the_same_and_nothing_changes_the_second_time(
            pieces in prop::collection::vec(piece(), 0..24)
        ) {
            let text = pieces.concat();
            if let Ok(formatted) = format_proxyfile(Path::new("x"), &text) {
                let read = |text: &str| text.parse::<toml::Table>();
                prop_assert_eq!(read(&text).unwrap(), read(&formatted).unwrap());
                prop_assert_eq!(format(&formatted), formatted);
            }
        }
    }
}
