//! Syntax errors in the TOML: selects which of them to report.

use toml::de::Error;

use crate::config::report::{Problem, Report};

/// Maximum number of syntax errors that are reported. Each needs a scan of the file for its line.
const MAX_REPORTED: usize = 100;

/// Reports the first error of each line. After a missing bracket, the parser's later errors only follow from it and
/// are left out. Returns true if the structure of the document is still reliable.
pub(crate) fn report_toml_errors(mut errors: Vec<Error>, report: &mut Report<'_>) -> bool {
    let is_unclosed = errors
        .iter()
        .any(|error| error.message().starts_with("unclosed"));
    let start = |error: &Error| error.span().map_or(0, |span| span.start);
    errors.sort_by_key(start);
    let (mut is_reliable, mut count, mut before) = (true, 0, None);
    for error in errors {
        let offset = start(&error);
        let before = before.replace(offset);
        if before.is_some_and(|before| report.is_one_line(before..offset)) {
            continue;
        }
        is_reliable &= is_local(&error);
        count += 1;
        if count <= MAX_REPORTED {
            report.at(offset, Problem::Syntax(error));
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
