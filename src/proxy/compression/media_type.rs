//! Ranges of media types, such as `text/*`.

use std::fmt;

/// Error of a text that is not a valid media range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid content type; use a form like `text/html`, `text/*` or `application/*+json`")]
pub struct MediaRangeError;

/// A media type such as `text/html`, or a range of them: `text/*`, `application/*+json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange {
    kind: String,
    /// Subtype, or the end of it for a range.
    subtype: String,
    is_range: bool,
}

impl MediaRange {
    /// Parses a media type, a type with `*`, or a type with `*` and a suffix.
    pub fn parse(text: &str) -> Result<Self, MediaRangeError> {
        let is_token = |text: &str| {
            let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
            text.bytes().all(is_fit)
        };
        let text = text.to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/').ok_or(MediaRangeError)?;
        let (subtype, is_range) = match subtype.strip_prefix('*') {
            Some(suffix) => (suffix, true),
            None => (subtype, false),
        };
        let is_suffix = subtype.is_empty() || subtype.starts_with('+');
        if kind.is_empty() || !is_token(kind) || !is_token(subtype) || is_suffix != is_range {
            return Err(MediaRangeError);
        }
        Ok(Self {
            kind: kind.to_owned(),
            subtype: subtype.to_owned(),
            is_range,
        })
    }

    /// `true` if the range includes `essence`, a media type without parameters.
    #[must_use]
    pub fn includes(&self, essence: &str) -> bool {
        let Some((kind, subtype)) = essence.split_once('/') else {
            return false;
        };
        let start = subtype.len().saturating_sub(self.subtype.len());
        let end = if self.is_range {
            subtype.get(start..).unwrap_or_default()
        } else {
            subtype
        };
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(end)
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_range { "*" } else { "" };
        write!(f, "{}/{star}{}", self.kind, self.subtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_its_types_in_any_case() {
        for (range, included, excluded) in [
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
            assert!(
                parsed.includes(included) && !parsed.includes(excluded),
                "{range}"
            );
            assert_eq!(parsed.to_string(), range);
        }
    }

    #[test]
    fn invalid_ranges_are_refused() {
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
