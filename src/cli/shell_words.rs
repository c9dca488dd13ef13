//! Words as a shell takes them.

/// A word as a shell takes it.
pub(super) fn shell_quoted(text: &str) -> String {
    let is_plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-+:".contains(c));
    if is_plain {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
