//! Values as a Proxyfile or a shell writes them.

use std::time::Duration;

/// A TOML string.
pub(super) fn quoted(value: impl ToString) -> String {
    toml::Value::String(value.to_string()).to_string()
}

/// A list of TOML strings.
pub(super) fn list<V: ToString>(values: &[V]) -> String {
    let values: Vec<_> = values
        .iter()
        .map(|value| quoted(value.to_string()))
        .collect();
    format!("[{}]", values.join(", "))
}

/// A duration as a TOML string.
pub(super) fn duration(value: Duration) -> String {
    quoted(humantime::format_duration(value))
}

/// A word as a shell takes it.
pub(super) fn shell_quoted(text: &str) -> String {
    let is_plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-+:".contains(c));
    match is_plain {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
