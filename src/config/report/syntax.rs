//! Messages for syntax errors in the TOML.

use toml::de::Error;

/// Returns the parser's message, or a message with a fix for common mistakes.
pub(crate) fn message(error: &Error) -> String {
    let text = error.message();
    for (start, sentence) in [
        (
            "string values must be quoted",
            "a string must be quoted, as in `\"localhost:3000\"`",
        ),
        (
            "invalid basic string",
            "the string does not end on its line; close it with `\"`",
        ),
        (
            "missing comma",
            "a comma or a closing bracket is missing before this; add it",
        ),
        (
            "unclosed",
            "the file ends before a bracket is closed; add the missing `]` or `}`",
        ),
    ] {
        if text.starts_with(start) {
            return sentence.to_owned();
        }
    }
    format!("this is not valid TOML: {text}")
}
