//! The name of a record: segments that are safe as file names whatever they are made of.

use std::fmt::{self, Write};

/// A path of encoded segments, such as `certificates/letsencrypt/www.example.org/certificate.pem`.
///
/// Each segment keeps lower-case letters, digits, `-` and inner dots; `*` becomes `_wildcard` so
/// that people can read it, and every other byte is percent-encoded. Two different sequences of
/// segments never give one key, and no segment is `.`, `..`, hidden or empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// Builds a key from its segments.
    #[must_use]
    pub fn new(segments: &[&str]) -> Self {
        let mut key = Self(String::new());
        for segment in segments {
            key.push(segment);
        }
        key
    }

    /// The key one level below this one.
    #[must_use]
    pub fn join(&self, segment: &str) -> Self {
        let mut key = self.clone();
        key.push(segment);
        key
    }

    /// The encoded segments, joined by `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn push(&mut self, segment: &str) {
        if !self.0.is_empty() {
            self.0.push('/');
        }
        if segment.is_empty() {
            self.0.push('_');
        }
        for (index, byte) in segment.bytes().enumerate() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => self.0.push(char::from(byte)),
                b'.' if index > 0 => self.0.push('.'),
                b'*' => self.0.push_str("_wildcard"),
                _ => {
                    let _ = write!(self.0, "%{byte:02X}");
                }
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_stay_readable_and_never_leave_their_folder() {
        for (segments, key) in [
            (
                &["certificates", "www.example.org"][..],
                "certificates/www.example.org",
            ),
            (&["a", "*.example.org"], "a/_wildcard.example.org"),
            (&["..", "..", "etc"], "%2E./%2E./etc"),
            (&["a/b"], "a%2Fb"),
            (&["::1"], "%3A%3A1"),
            (&["_wildcard"], "%5Fwildcard"),
            (&["A\0"], "%41%00"),
            (&["", "x"], "_/x"),
        ] {
            assert_eq!(Key::new(segments).as_str(), key);
        }
    }
}
