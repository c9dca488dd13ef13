//! The words for mistakes in the TOML itself.

use toml::de::Error;

/// The parser's words, with the fix for the mistakes that people make.
pub(crate) fn message(error: &Error) -> String {
    let words = error.message();
    for (start, sentence) in [
        (
            "string values must be quoted",
            "a value needs quotes around it, as in `\"localhost:3000\"`",
        ),
        (
            "invalid basic string",
            "the string does not end on its line; close it with `\"`",
        ),
        (
            "duplicate key",
            "the key is set twice; remove one of the two",
        ),
        (
            "missing comma",
            "something is missing before this: a comma, or the bracket that closes what was begun",
        ),
        (
            "unclosed",
            "the file ends before a bracket is closed; add the `]` or `}` that is missing",
        ),
    ] {
        if words.starts_with(start) {
            return sentence.to_owned();
        }
    }
    format!("this is not valid TOML: {words}")
}
