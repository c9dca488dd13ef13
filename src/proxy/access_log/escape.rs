//! Escapes of untrusted text in a log line, so that no bytes can end a value or a line.

use std::fmt::Write;

/// Appends `bytes` as the inside of a JSON string. Invalid UTF-8 becomes U+FFFD.
pub(super) fn json(line: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => line.push_str("\\\""),
                '\\' => line.push_str("\\\\"),
                // Includes the controls above 0x7f, which some terminals act on.
                c if c.is_control() => {
                    let _ = write!(line, "\\u{:04x}", u32::from(c));
                }
                c => line.push(c),
            }
        }
        if !chunk.invalid().is_empty() {
            line.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Appends `bytes` as the inside of a quoted value in visible ASCII. All other bytes become `\xHH`.
pub(super) fn quoted(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b' '..=b'~' if !matches!(byte, b'"' | b'\\') => line.push(char::from(*byte)),
            byte => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &[u8] = b"a\"b\\c\r\nd\te\x1b[31m\x7f\xff\xc3\xa4\xc2\x9b\xed\xa0\x80\0";

    #[test]
    fn any_bytes_become_one_json_string() {
        let mut line = String::from("\"");
        json(&mut line, HOSTILE);
        line.push('"');
        let read: String = serde_json::from_str(&line).unwrap();
        assert!(
            read.starts_with("a\"b\\c\r\nd\te\u{1b}[31m\u{7f}\u{fffd}ä\u{9b}"),
            "{read:?}"
        );
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }

    #[test]
    fn a_quoted_value_is_visible_ascii_without_quotation_marks() {
        let mut line = String::new();
        quoted(&mut line, HOSTILE);
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        assert!(!line.contains('"'), "{line}");
        assert!(
            line.starts_with(r"a\x22b\x5cc\x0d\x0ad\x09e\x1b[31m\x7f\xff\xc3\xa4"),
            "{line}"
        );
    }

    #[test]
    fn every_byte_can_be_escaped_in_both_ways() {
        for byte in 0..=u8::MAX {
            let (mut line, mut plain) = (String::from("\""), String::new());
            json(&mut line, &[byte]);
            quoted(&mut plain, &[byte]);
            line.push('"');
            serde_json::from_str::<String>(&line).unwrap();
            assert!(!plain.contains(['"', '\n', '\r']));
        }
    }
}
