//! Text of peers and of files, made safe for a log line or a terminal, and short.

use std::borrow::Cow;
use std::error::Error;
use std::io::IsTerminal;

/// Most characters of a peer's text that a sentence quotes.
const QUOTED: usize = 160;
/// Stands for the part of a text that is left out.
const ELLIPSIS: &str = "…";
/// Separates a sentence from its fix, and one fix from the next.
const BEFORE_FIX: &str = "; ";
/// Separates a sentence from the text that it quotes.
const BEFORE_QUOTE: &str = ": ";
/// Limit for a log line in bytes.
const LINE: usize = 300;
/// Length to which a line that is too long cuts its names and paths.
const WORD: usize = 60;
/// Length to which a line cuts those before its fix, if it is still too long.
const SHORT_WORD: usize = 28;
/// Least length of a fingerprint.
const FINGERPRINT: usize = 40;
/// Least length of what is left of a quoted text.
const LEAST_QUOTE: usize = 20;
/// Begin the sentence of a log line, without colours and with them.
const BEFORE_SENTENCE: [&str; 4] = [
    " error=",
    " reason=",
    "error\u{1b}[0m\u{1b}[2m=\u{1b}[0m",
    "reason\u{1b}[0m\u{1b}[2m=\u{1b}[0m",
];

/// `true` if colours may be written to `stream`: it is a terminal, and neither `NO_COLOR` (no-color.org) nor `TERM=dumb` turns
/// them off.
#[must_use]
pub fn takes_colours(stream: &impl IsTerminal) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !is_dumb() && !is_set("NO_COLOR")
}

/// Returns an error as one sentence, with the causes that it does not name itself.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !sentence.contains(&words) {
            sentence = format!("{sentence}: {words}");
        }
        cause = error.source();
    }
    sentence
}

/// Returns a peer's text as a sentence quotes it: on one line, with at most 160 characters, and without the sign that separates a
/// sentence from its fix.
#[must_use]
pub fn quoted(text: &str) -> String {
    let text = text.trim().replace(BEFORE_FIX, ", ");
    let shown = printable(&text, QUOTED);
    if text.chars().nth(QUOTED).is_some() {
        return shown + ELLIPSIS;
    }
    shown
}

/// Shortens a log line to less than 300 bytes, if it is longer: first names, paths and other long words in their middle, then the
/// text that its sentence quotes. The words of the fix at the end of the sentence stay. A line with a fingerprint stays whole,
/// because a part of one is of no use.
#[must_use]
pub fn short_line(line: &str) -> Cow<'_, str> {
    let limit = LINE + colours(line);
    if line.len() < limit || line.split(is_separator).any(is_fingerprint) {
        return line.into();
    }
    let mut line = line.to_owned();
    shorten_words(&mut line, limit, |line| line, WORD);
    shorten_quote(&mut line, limit);
    shorten_words(&mut line, limit, before_fix, SHORT_WORD);
    shorten_quote(&mut line, limit);
    line.into()
}

fn before_fix(line: &str) -> &str {
    line.rsplit_once(BEFORE_FIX)
        .map_or(line, |(before, _)| before)
}

/// Cuts the longest words of a part to `length` until the line is short enough. The time at its start is not longer.
fn shorten_words(line: &mut String, limit: usize, part: fn(&str) -> &str, length: usize) {
    while line.len() >= limit {
        let words = part(line).split(is_separator);
        let longest = words.max_by_key(|word| word.len());
        let Some(word) = longest.filter(|word| word.len() > length) else {
            return;
        };
        let room = (word.len() + limit).saturating_sub(line.len() + 1);
        *line = line.replace(word, &without_middle(word, room.max(length)));
    }
}

fn shorten_quote(line: &mut String, limit: usize) {
    if line.len() < limit {
        return;
    }
    let Some((start, end)) = quoted_part(line) else {
        return;
    };
    let room = (end - start + limit).saturating_sub(line.len() + 1 + ELLIPSIS.len());
    let cut = line.floor_char_boundary(start + room.max(LEAST_QUOTE));
    if cut + ELLIPSIS.len() < end {
        line.replace_range(cut..end, ELLIPSIS);
    }
}

/// Returns where the text begins and ends that the sentence of a line quotes.
fn quoted_part(line: &str) -> Option<(usize, usize)> {
    let ends = BEFORE_SENTENCE.iter().filter_map(|before| {
        let found = line.rfind(before)?;
        Some(found + before.len())
    });
    let sentence = ends.max()?;
    let start = sentence + line[sentence..].find(BEFORE_QUOTE)? + BEFORE_QUOTE.len();
    let end = line[sentence..].rfind(BEFORE_FIX);
    let end = end.map_or(line.len(), |end| sentence + end);
    (start < end).then_some((start, end))
}

/// Returns a word of at most `length` bytes with the beginning and the end of a longer one.
fn without_middle(word: &str, length: usize) -> String {
    let half = (length - ELLIPSIS.len()) / 2;
    let (head, tail) = (
        word.floor_char_boundary(half),
        word.ceil_char_boundary(word.len() - half),
    );
    format!("{}{ELLIPSIS}{}", &word[..head], &word[tail..])
}

fn is_separator(character: char) -> bool {
    character.is_whitespace() || matches!(character, '=' | '"' | '`' | '\u{1b}')
}

/// `true` for bytes in hexadecimal with colons between them.
fn is_fingerprint(word: &str) -> bool {
    let word = word.trim_end_matches([',', ';', ')', '.']);
    let is_hex = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    word.len() > FINGERPRINT
        && word.bytes().filter(|byte| *byte == b':').count() > 8
        && word.bytes().all(is_hex)
}

/// Number of bytes that colour a line.
fn colours(line: &str) -> usize {
    let sequences = line.split('\u{1b}').skip(1);
    sequences
        .filter_map(|rest| rest.find('m'))
        .map(|end| end + 2)
        .sum()
}

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
    fn a_quoted_text_is_short_and_cannot_pass_for_the_fix() {
        assert_eq!(
            quoted(" no such zone; see\nhttps://ca.test "),
            "no such zone, see\\nhttps://ca.test"
        );
        let long = quoted(&"ä".repeat(2000));
        assert_eq!(long, format!("{}…", "ä".repeat(QUOTED)));
        assert_eq!(quoted(&"a".repeat(QUOTED)), "a".repeat(QUOTED));
    }

    #[test]
    fn a_long_line_loses_the_middle_of_its_names_and_the_end_of_its_quotation_but_never_its_fix() {
        let fix = "open port 80 to the internet, and point the name's DNS to this machine";
        let name = format!("{}.example.org", "a.".repeat(120).trim_end_matches('.'));
        let said = "so it is; ".repeat(200);
        for (names, said) in [
            ("a.example.org", "é".repeat(400)),
            ("a.example.org", said.replace("; ", ", ")),
            (name.as_str(), "timed out".to_owned()),
            (name.as_str(), said.clone()),
        ] {
            for coloured in [false, true] {
                let field = |name| match coloured {
                    true => format!("\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m"),
                    false => format!("{name}="),
                };
                let line = format!(
                    "2026-11-24T10:00:00.123456Z  WARN certificate not obtained {}{names} {}the CA could not reach {names} on port 80: {said}; {fix}",
                    field("names"),
                    field("error")
                );
                let shown = short_line(&line);
                assert!(shown.len() < LINE + colours(&line), "{shown}");
                assert!(shown.ends_with(&format!("; {fix}")), "{shown}");
                let end = names.len() - 10;
                let begins = format!("the CA could not reach {}", &names[..10]);
                assert!(
                    shown.contains(&begins) && shown.contains(&names[end..]),
                    "{shown}"
                );
                let begins: String = said.chars().take(8).collect();
                assert!(shown.contains(&begins), "{shown}");
            }
        }
    }

    #[test]
    fn short_lines_own_words_and_fingerprints_stay_whole() {
        let fingerprint = vec!["A1"; 32].join(":");
        for line in [
            "short".to_owned(),
            format!("{} {}", "own words".repeat(4), " of its own".repeat(30)),
            format!(
                "WARN a error=b: {}; its SHA-256 is {fingerprint}, c",
                "d ".repeat(200)
            ),
        ] {
            assert_eq!(short_line(&line), line);
        }
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
