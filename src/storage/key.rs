//! Keys of records: segments that are safe as file names, whatever text they are made of.

use std::fmt::{self, Write};

use aws_lc_rs::digest::{SHA256, digest};

/// Longest encoded segment. File systems limit names to 255 bytes.
const LONGEST: usize = 200;

/// Part of a longer segment that stays readable.
const READABLE: usize = 128;

/// A path of encoded segments, such as `certificates/letsencrypt/www.example.org/certificate.pem`.
///
/// Each segment keeps lower-case letters, digits, `-` and inner dots. `*` becomes `_wildcard`, which people can read, and
/// every other byte is percent-encoded. A segment that is too long for a file name ends in its hash. Different sequences of
/// segments never have the same key, and no segment is `.`, `..`, hidden or empty.
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

    /// Returns the key one level below this one.
    #[must_use]
    pub fn join(&self, segment: &str) -> Self {
        let mut key = self.clone();
        key.push(segment);
        key
    }

    /// Returns the key one level below this one. Takes an encoded segment from a listing.
    #[must_use]
    pub fn below(&self, encoded: &str) -> Self {
        Self(format!("{}/{encoded}", self.0))
    }

    /// Returns the encoded segments, joined by `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Decodes a segment. Returns `None` if it was shortened, or is not a segment of a key.
    #[must_use]
    pub fn decode(encoded: &str) -> Option<String> {
        if encoded == "_" {
            return Some(String::new());
        }
        let plain = encoded.replace("_wildcard", "*");
        let mut bytes = Vec::with_capacity(plain.len());
        let mut rest = plain.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'%' => {
                    let digits = [rest.next()?, rest.next()?];
                    let digits = std::str::from_utf8(&digits).ok()?;
                    bytes.push(u8::from_str_radix(digits, 16).ok()?);
                }
                b'_' => return None,
                byte => bytes.push(byte),
            }
        }
        let segment = String::from_utf8(bytes).ok()?;
        (Self::new(&[&segment]).0 == encoded).then_some(segment)
    }

    /// Decodes the last segment; see [`decode`](Self::decode).
    #[must_use]
    pub fn last_segment(&self) -> Option<String> {
        Self::decode(self.0.rsplit('/').next()?)
    }

    fn push(&mut self, segment: &str) {
        if !self.0.is_empty() {
            self.0.push('/');
        }
        let start = self.0.len();
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
        if self.0.len() - start > LONGEST {
            self.shorten(start, segment);
        }
    }

    /// Shortens a segment. No unshortened segment has an `_` before a hexadecimal digit, so none equals a shortened one.
    fn shorten(&mut self, start: usize, segment: &str) {
        self.0.truncate(start + READABLE);
        self.0.push('_');
        for byte in digest(&SHA256, segment.as_bytes()).as_ref() {
            let _ = write!(self.0, "{byte:02x}");
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
            let built = Key::new(segments);
            assert_eq!(built.as_str(), key);
            assert_eq!(built.last_segment().as_deref(), segments.last().copied());
        }
    }

    #[test]
    fn other_texts_are_not_decoded() {
        let long = Key::new(&[&"a".repeat(201)]);
        assert_eq!(long.last_segment(), None);
        for encoded in ["A", "%", "%4", "%61", "%+1", ".a", "a_b", "%FF"] {
            assert_eq!(
                Key::new(&["x"]).below(encoded).last_segment(),
                None,
                "{encoded}"
            );
        }
    }

    #[test]
    fn a_segment_can_be_decoded() {
        for segment in [
            "www.example.org",
            "*.example.org",
            "::1",
            "_wildcard",
            ".",
            "",
            "A\0é",
        ] {
            let key = Key::new(&[segment]);
            assert_eq!(Key::decode(key.as_str()).as_deref(), Some(segment));
        }
        let shortened = Key::new(&[&"a".repeat(201)]);
        for segment in [shortened.as_str(), "%", "%4", "%é1", "_x", "é", "%FF"] {
            assert_eq!(Key::decode(segment), None, "{segment}");
        }
    }

    #[test]
    fn no_segment_is_too_long_for_a_file_name_and_distinct_ones_stay_distinct() {
        let long = "a_b".repeat(84);
        let (one, other) = (format!("{long}.json"), format!("{long}.txt"));
        let keys = [Key::new(&["x", &one]), Key::new(&["x", &other])];
        assert_ne!(keys[0], keys[1]);
        for key in &keys {
            let segment = key.as_str().strip_prefix("x/a%5Fba").unwrap();
            assert!(segment.len() < 255, "{key}");
        }
        // The longest unshortened name, and the shortest shortened one.
        assert_eq!(Key::new(&[&"a".repeat(200)]).as_str(), "a".repeat(200));
        let shortened = Key::new(&[&"a".repeat(201)]);
        assert_eq!(shortened.as_str().len(), 128 + 1 + 64);
        assert_eq!(shortened, Key::new(&[&"a".repeat(201)]));
    }
}
