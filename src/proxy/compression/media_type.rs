//! Which types of content a rule is for.

use std::fmt;

/// Why a text names no types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a content type is written as in `text/html`, `text/*` or `application/*+json`")]
pub struct MediaRangeError;

/// A content type such as `text/html`, or many of them: `text/*`, `application/*+json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange {
    kind: String,
    /// The subtype, or its end.
    subtype: String,
    is_wild: bool,
}

impl MediaRange {
    /// Parses a type, a type with `*`, or one with `*` and a suffix.
    pub fn parse(text: &str) -> Result<Self, MediaRangeError> {
        let is_token = |text: &str| {
            let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
            text.bytes().all(is_fit)
        };
        let text = text.to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/').ok_or(MediaRangeError)?;
        let (subtype, is_wild) = match subtype.strip_prefix('*') {
            Some(suffix) => (suffix, true),
            None => (subtype, false),
        };
        let is_suffix = subtype.is_empty() || subtype.starts_with('+');
        if kind.is_empty() || !is_token(kind) || !is_token(subtype) || is_suffix != is_wild {
            return Err(MediaRangeError);
        }
        Ok(Self {
            kind: kind.to_owned(),
            subtype: subtype.to_owned(),
            is_wild,
        })
    }

    /// Whether `essence`, a content type without its parameters, is among them.
    #[must_use]
    pub fn has(&self, essence: &str) -> bool {
        let Some((kind, subtype)) = essence.split_once('/') else {
            return false;
        };
        let start = subtype.len().saturating_sub(self.subtype.len());
        let end = if self.is_wild {
            subtype.get(start..).unwrap_or_default()
        } else {
            subtype
        };
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(end)
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_wild { "*" } else { "" };
        write!(f, "{}/{star}{}", self.kind, self.subtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_the_types_that_they_say() {
        for (range, has, lacks) in [
            ("text/html", "Text/HTML", "text/htm"),
            ("text/*", "text/css", "application/css"),
            (
                "application/*+json",
                "application/ld+json",
                "application/json",
            ),
            ("image/svg+xml", "image/svg+xml", "image/svg"),
        ] {
            let parsed = MediaRange::parse(range).unwrap();
            assert!(parsed.has(has) && !parsed.has(lacks), "{range}");
            assert_eq!(parsed.to_string(), range);
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "text",
            "text/",
            "/html",
            "text/*html",
            "text/html; x",
            "*/*",
            "text/+json",
        ] {
            assert_eq!(MediaRange::parse(text), Err(MediaRangeError), "{text:?}");
        }
    }
}
