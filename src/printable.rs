//! Text of peers and of files, made safe for a log line or a terminal.

use std::borrow::Cow;

/// Escapes the characters of a text that could end its line or control a terminal, and cuts it after `limit` characters.
#[must_use]
pub fn printable(text: &str, limit: usize) -> String {
    let text = text.trim();
    let end = text.char_indices().nth(limit).map_or(text.len(), |it| it.0);
    escaped(&text[..end], is_unsafe).into_owned()
}

/// Escapes the characters of a text that could end its line or reorder it, for a text that may have colours of its own.
#[must_use]
pub fn single_line(text: &str) -> Cow<'_, str> {
    escaped(text, |character| {
        character != '\u{1b}' && is_unsafe(character)
    })
}

fn escaped(text: &str, is_unsafe: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_unsafe) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unsafe(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// `true` for control characters, line separators and characters that reorder the text around them on a terminal.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_peer_cannot_control_a_terminal() {
        assert_eq!(
            printable(" a\u{1b}[31m\nb\u{202e}c ", 100),
            "a\\u{1b}[31m\\nb\\u{202e}c"
        );
        assert_eq!(printable("abcdef", 3), "abc");
        assert_eq!(printable("äöü", 2), "äö");
    }

    #[test]
    fn a_text_with_colours_stays_one_line() {
        assert_eq!(
            single_line("\u{1b}[2ma\u{1b}[0m\r\nb\u{2028}c"),
            "\u{1b}[2ma\u{1b}[0m\\r\\nb\\u{2028}c"
        );
        assert!(matches!(single_line("plain äöü"), Cow::Borrowed(_)));
    }
}
