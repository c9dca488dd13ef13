//! Syntax errors in the TOML: selects which of them to report, and names common mistakes.

use toml::de::Error;

use super::foreign_format::ForeignFormat;
use super::repeated_key::{line_start, repeated};
use crate::config::report::{Problem, Report};

/// Maximum number of syntax errors that are reported. Each needs a scan of the file for its line.
const MAX_REPORTED: usize = 100;

/// Quotes that word processors write instead of `"` and `'`.
const TYPOGRAPHIC: [char; 9] = ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»'];

/// Reports the first error of each line. After a missing bracket, the parser's later errors only follow from it and
/// are left out. Returns true if the structure of the document is still reliable.
pub(crate) fn report_toml_errors(mut errors: Vec<Error>, report: &mut Report<'_>) -> bool {
    let text = report.text();
    if !errors.is_empty()
        && let Some(ForeignFormat { name, offset }) = ForeignFormat::of(text)
    {
        report.at(offset, Problem::ForeignFormat(name));
        return false;
    }
    let is_unclosed = errors
        .iter()
        .any(|error| error.message().starts_with("unclosed"));
    let start = |error: &Error| error.span().map_or(0, |span| span.start);
    errors.sort_by_key(start);
    let (mut is_reliable, mut count, mut before) = (true, 0, None);
    let mut repeated_table = None;
    for error in errors {
        let offset = start(&error);
        let before = before.replace(offset);
        if before.is_some_and(|before| report.is_one_line(before..offset)) {
            continue;
        }
        let is_repeated = error.message().starts_with("duplicate key");
        // The keys of a repeated table are repeated too if both tables have them.
        if is_repeated && repeated_table.is_some_and(|table| !has_header(text, table, offset)) {
            continue;
        }
        is_reliable &= is_local(&error);
        count += 1;
        if count <= MAX_REPORTED {
            let (offset, problem) = describe(text, error, report);
            if let Problem::RepeatedTable { .. } = problem {
                repeated_table = Some(offset);
            }
            report.at(offset, problem);
        }
        if is_unclosed && !is_reliable {
            break;
        }
    }
    if count > MAX_REPORTED {
        report.whole_file(Problem::MoreMistakes(count - MAX_REPORTED));
    }
    is_reliable
}

/// Returns the problem and its offset.
fn describe(text: &str, error: Error, report: &Report<'_>) -> (usize, Problem) {
    let span = error.span().unwrap_or_default();
    let line = line_start(text, span.start);
    let line_text = text[line..].lines().next().unwrap_or_default();
    if error.message().starts_with("duplicate key") {
        return (span.start, repeated(text, span, report));
    }
    if let Some((at, quote)) = typographic_quote(line_text) {
        return (line + at, Problem::TypographicQuote(quote));
    }
    if let Some((key, at)) = colon(line_text, span.start - line) {
        return (line + at, Problem::Colon(key.to_owned()));
    }
    (span.start, Problem::Syntax(error))
}

/// Returns true if a table begins between the offsets, after the line of the first one.
fn has_header(text: &str, after: usize, before: usize) -> bool {
    let lines = text[after..before].lines().skip(1);
    let mut lines = lines.map(str::trim_start);
    lines.any(|line| line.starts_with('['))
}

/// Finds the first typographic quote of a line that is not inside a string or a comment.
fn typographic_quote(line: &str) -> Option<(usize, char)> {
    let mut string = None;
    for (at, char) in line.char_indices() {
        match (string, char) {
            (Some(end), char) if char == end => string = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => string = Some(char),
            (None, '#') => return None,
            (None, char) if TYPOGRAPHIC.contains(&char) => return Some((at, char)),
            (None, _) => {}
        }
    }
    None
}

/// Finds the key before a colon that stands instead of `=`, at an error or just before it. Returns the key and the offset of
/// the colon.
fn colon(line: &str, error: usize) -> Option<(&str, usize)> {
    let (before, after) = line.split_at_checked(error)?;
    let at = if after.starts_with(':') {
        error
    } else {
        before.trim_end().strip_suffix(':')?.len()
    };
    let key = line[..at].rsplit(['{', ',']).next()?.trim();
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.\"'".contains(&byte);
    (!key.is_empty() && key.bytes().all(is_key)).then_some((key, at))
}

/// Returns true if the error affects only one value or key.
fn is_local(error: &Error) -> bool {
    [
        "string values must be quoted",
        "invalid basic string",
        "duplicate key",
    ]
    .iter()
    .any(|start| error.message().starts_with(start))
}
