//! Formats a Proxyfile: only white space, line breaks and trailing commas change. Works on the tokens of the TOML, so that
//! comments, which a parsed document does not have, are kept.

use std::path::Path;

use crate::config::report::{Error, Report};
use crate::config::toml::report_toml_errors;
use toml::de::DeTable;
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// Indentation inside brackets that span several lines.
const INDENT: usize = 2;

/// Formats the text of a Proxyfile: a space around `=` and after commas, none at the end of a line, at most one empty line,
/// and one before each table and its comments. Aligned `=` stay aligned, and comments after values stay in their columns.
/// Returns the syntax errors if the text is not valid TOML.
pub fn format_proxyfile(path: &Path, text: &str) -> Result<String, Error> {
    let mut report = Report::new(path, text);
    let (_, errors) = DeTable::parse_recoverable(text);
    report_toml_errors(errors, &mut report);
    if !report.is_clean() {
        return Err(Error::Invalid(report.into_diagnostics()));
    }
    Ok(write(&lines(text)))
}

/// A token other than white space.
#[derive(Debug)]
struct Token<'t> {
    kind: TokenKind,
    text: &'t str,
    column: usize,
    /// True if white space precedes it.
    is_spaced: bool,
}

/// A line. One with a multi-line string reaches to the end of the line on which the string ends.
#[derive(Debug, Default)]
struct Line<'t> {
    tokens: Vec<Token<'t>>,
    comment: Option<Token<'t>>,
    /// Number of brackets that are open before it.
    depth: usize,
    /// True if it is a comment that continues the one above it in the same column.
    is_continued: bool,
}

impl Line<'_> {
    fn is_blank(&self) -> bool {
        self.tokens.is_empty() && self.comment.is_none()
    }

    fn is_comment(&self) -> bool {
        self.tokens.is_empty() && self.comment.is_some() && !self.is_continued
    }

    fn is_table(&self) -> bool {
        self.depth == 0 && self.starts_with(TokenKind::LeftSquareBracket)
    }

    fn starts_with(&self, kind: TokenKind) -> bool {
        self.tokens.first().is_some_and(|token| token.kind == kind)
    }

    /// Returns the index of the `=` of an entry.
    fn equals(&self) -> Option<usize> {
        let mut kinds = self.tokens.iter().map(|token| token.kind);
        let is_entry = self.depth == 0 && !self.is_table();
        kinds
            .position(|kind| kind == TokenKind::Equals)
            .filter(|_| is_entry)
    }

    /// Returns the original column of the first token.
    fn start(&self) -> usize {
        let first = self.tokens.first().or(self.comment.as_ref());
        first.map_or(0, |token| token.column)
    }

    fn indent(&self) -> usize {
        let closing = self.tokens.iter().take_while(|token| closes(token.kind));
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
    let (mut depth, mut column, mut is_spaced) = (0_usize, 0, false);
    for token in Source::new(text).lex() {
        let (kind, span) = (token.kind(), token.span());
        let content = &text[span.start()..span.end()];
        let token = Token {
            kind,
            text: content,
            column,
            is_spaced,
        };
        column = match content.rsplit_once('\n') {
            Some((_, last)) => last.chars().count(),
            None => column + content.chars().count(),
        };
        is_spaced = kind == TokenKind::Whitespace;
        let line = lines.last_mut().expect("the list starts with one line");
        match kind {
            TokenKind::Whitespace | TokenKind::Eof => {}
            TokenKind::Newline => lines.push(Line {
                depth,
                ..Line::default()
            }),
            TokenKind::Comment => line.comment = Some(token),
            _ => {
                depth = match (opens(kind), closes(kind)) {
                    (true, _) => depth + 1,
                    (_, true) => depth.saturating_sub(1),
                    _ => depth,
                };
                line.tokens.push(token);
            }
        }
    }
    mark_continued_comments(&mut lines);
    lines
}

fn mark_continued_comments(lines: &mut [Line<'_>]) {
    let mut above = None;
    for line in lines {
        let column = line.comment.as_ref().map(|comment| comment.column);
        line.is_continued = line.tokens.is_empty() && column.is_some() && column == above;
        above = column.filter(|_| !line.tokens.is_empty() || line.is_continued);
    }
}

fn write(lines: &[Line<'_>]) -> String {
    let after_gap = lines_after_gap(lines);
    let widths = widths(lines);
    let mut out = String::new();
    let mut is_gap = false;
    let mut last_column = 0;
    for (number, line) in lines.iter().enumerate() {
        is_gap |= line.is_blank() || after_gap[number];
        if line.is_blank() {
            continue;
        }
        if is_gap && !out.is_empty() {
            out.push('\n');
        }
        is_gap = false;
        let start = out.len();
        if !line.is_continued {
            out.push_str(&" ".repeat(line.indent()));
        }
        write_code(line, widths[number], &mut out);
        if let Some(comment) = &line.comment {
            let row = out[start..].rsplit('\n').next().unwrap_or_default();
            let width = row.chars().count();
            let column = match (line.is_continued, line.tokens.is_empty()) {
                (true, _) => last_column,
                (_, true) => width,
                _ => comment_column(line, comment, width),
            };
            out.push_str(&" ".repeat(column - width.min(column)));
            out.push_str(comment.text.trim_end());
            last_column = column;
        }
        out.push('\n');
    }
    out
}

/// Returns the column of a comment after a value that ends in column `width`: its original column if there is room.
fn comment_column(line: &Line<'_>, comment: &Token<'_>, width: usize) -> usize {
    let last = line.tokens.last();
    let end = last.map_or(0, |token| match token.text.rsplit_once('\n') {
        Some((_, row)) => row.chars().count(),
        None => token.column + token.text.chars().count(),
    });
    let is_whole = line.tokens.iter().all(|token| !token.text.contains('\n'));
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

/// Returns which lines get an empty line before them: each table, or the first of the comments directly above it.
fn lines_after_gap(lines: &[Line<'_>]) -> Vec<bool> {
    let mut after_gap = vec![false; lines.len()];
    for (number, _) in lines.iter().enumerate().filter(|(_, line)| line.is_table()) {
        let comments = lines[..number].iter().rev();
        let comments = comments.take_while(|line| line.is_comment()).count();
        after_gap[number - comments] = true;
    }
    after_gap
}

/// Returns the width of the key of each line: that of the widest adjacent key if the `=` signs are aligned, else 0.
fn widths(lines: &[Line<'_>]) -> Vec<usize> {
    let mut widths = Vec::with_capacity(lines.len());
    for run in lines.chunk_by(|one, other| one.equals().is_some() && other.equals().is_some()) {
        let signs = run.iter().filter_map(|line| {
            let sign = &line.tokens[line.equals()?];
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
    write_tokens(&line.tokens[..line.equals().unwrap_or_default()], &mut key);
    key.chars().count()
}

fn write_code(line: &Line<'_>, width: usize, out: &mut String) {
    let Some(sign) = line.equals() else {
        return write_tokens(&line.tokens, out);
    };
    let (key, value) = line.tokens.split_at(sign);
    write_tokens(key, out);
    out.push_str(&" ".repeat(width.saturating_sub(key_width(line)) + 1));
    write_tokens(value, out);
}

fn write_tokens(tokens: &[Token<'_>], out: &mut String) {
    let mut before: Option<&Token<'_>> = None;
    for (number, token) in tokens.iter().enumerate() {
        let is_last = tokens.get(number + 1).is_some_and(|next| closes(next.kind));
        if token.kind == TokenKind::Comma && is_last {
            continue;
        }
        if before.is_some_and(|before| needs_space(before, token)) {
            out.push(' ');
        }
        out.push_str(token.text);
        before = Some(token);
    }
}

fn needs_space(before: &Token<'_>, token: &Token<'_>) -> bool {
    use TokenKind::{
        Comma, Dot, Equals, LeftCurlyBracket, LeftSquareBracket, RightCurlyBracket,
        RightSquareBracket,
    };
    match (before.kind, token.kind) {
        (_, Comma | Dot) | (Dot, _) | (LeftCurlyBracket, RightCurlyBracket) => false,
        (Equals | Comma | LeftCurlyBracket, _) | (_, Equals | RightCurlyBracket) => true,
        (LeftSquareBracket, _) | (_, RightSquareBracket) => false,
        // A space may separate the date and the time of day.
        _ => token.is_spaced,
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
    fn spaces_are_normalized() {
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
    fn an_empty_line_precedes_each_table_and_its_comments() {
        let written =
            "# top\na = 1\n# of x\n# too\n[x]\nb = 1\n\n\n# of y\n[y]\n[y.z]\n# of c\nc = 1\n";
        let formatted =
            "# top\na = 1\n\n# of x\n# too\n[x]\nb = 1\n\n# of y\n[y]\n\n[y.z]\n# of c\nc = 1\n";
        assert_eq!(format(written), formatted);
        assert_eq!(format("# top\n[x]\n"), "# top\n[x]\n");
    }

    #[test]
    fn aligned_signs_and_comments_stay_aligned() {
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
    fn invalid_toml_is_rejected_with_its_location() {
        let outcome = format_proxyfile(Path::new("Proxyfile"), "a = 1\nb = [\n");
        let message = outcome.unwrap_err().to_string();
        assert!(message.starts_with("Proxyfile:"), "{message}");
        assert!(format_proxyfile(Path::new("x"), "a = 1\na = 2\n").is_err());
    }

    fn token() -> impl Strategy<Value = &'static str> {
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
        fn formatting_keeps_the_meaning_and_is_idempotent(
            tokens in prop::collection::vec(token(), 0..24)
        ) {
            let text = tokens.concat();
            if let Ok(formatted) = format_proxyfile(Path::new("x"), &text) {
                let read = |text: &str| text.parse::<toml::Table>();
                prop_assert_eq!(read(&text).unwrap(), read(&formatted).unwrap());
                prop_assert_eq!(format(&formatted), formatted);
            }
        }
    }
}
