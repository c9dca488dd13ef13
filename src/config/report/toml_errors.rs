//! Mistakes in the TOML itself: which of them to report, and where.

use toml::de::Error;

use super::diagnostic::Report;
use super::problem::Problem;

/// How many mistakes are told: to find the place of each takes time, and nobody reads them all.
const MOST: usize = 100;

/// Notes the parser's errors, the first of each line. Says whether the document's structure can still be trusted; where
/// a bracket is missing, all that the parser says afterwards is an echo of it and is left out.
pub(crate) fn note_toml_errors(mut errors: Vec<Error>, report: &mut Report<'_>) -> bool {
    let is_unclosed = errors
        .iter()
        .any(|error| error.message().starts_with("unclosed"));
    let start = |error: &Error| error.span().map_or(0, |span| span.start);
    errors.sort_by_key(start);
    let (mut is_sound, mut count, mut before) = (true, 0, None);
    for error in errors {
        let offset = start(&error);
        let before = before.replace(offset);
        if before.is_some_and(|before| report.is_one_line(before..offset)) {
            continue;
        }
        is_sound &= leaves_structure(&error);
        count += 1;
        if count <= MOST {
            report.at(offset, Problem::Syntax(error));
        }
        if is_unclosed && !is_sound {
            break;
        }
    }
    if count > MOST {
        report.whole_file(Problem::MoreMistakes(count - MOST));
    }
    is_sound
}

/// Whether the error is confined to one value or key.
fn leaves_structure(error: &Error) -> bool {
    [
        "string values must be quoted",
        "invalid basic string",
        "duplicate key",
    ]
    .iter()
    .any(|start| error.message().starts_with(start))
}
