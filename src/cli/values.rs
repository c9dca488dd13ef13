//! Formats values for a Proxyfile or a shell.

use std::time::Duration;

/// Formats a TOML string.
pub(super) fn quoted(value: impl ToString) -> String {
    toml::Value::String(value.to_string()).to_string()
}

/// Formats a list of TOML strings.
pub(super) fn list<V: ToString>(values: &[V]) -> String {
    let values: Vec<_> = values
        .iter()
        .map(|value| quoted(value.to_string()))
        .collect();
    format!("[{}]", values.join(", "))
}

/// Formats a duration as a TOML string.
pub(super) fn duration(value: Duration) -> String {
    quoted(humantime::format_duration(value))
}

/// Quotes a word for a shell, if it needs quotes.
pub(super) fn shell_quoted(text: &str) -> String {
    let is_plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-+:".contains(c));
    if is_plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
