//! Conditional requests and range requests for a file (RFC 9110 sections 13 and 14).

use std::ops::Range;

use headers::{
    ETag, HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince,
    LastModified,
};
use http::HeaderMap;
use http::header::RANGE;
use http_range::{HttpRange, HttpRangeParseError};

use super::file_lookup::OpenFile;

/// Validators of a file's current content (RFC 9110 section 8.8).
#[derive(Clone, Debug)]
pub(super) struct Validators {
    pub(super) etag: Option<ETag>,
    pub(super) modified: Option<LastModified>,
}

/// Part of a file that a request gets, or the reason why it gets none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Whole,
    Part(Range<u64>),
    NotModified,
    PreconditionFailed,
    /// The requested part begins after the end of the file.
    Unsatisfiable,
}

impl Validators {
    /// Derives the validators of a file. The entity tag is made of its modification time in nanoseconds, its size and
    /// its coding, since each coding is another representation.
    pub(super) fn of(found: &OpenFile) -> Self {
        let since = found
            .modified
            .and_then(|modified| modified.duration_since(std::time::UNIX_EPOCH).ok());
        let suffix = found.encoding.map_or("", |encoding| encoding.suffix());
        let tag = since.map(|since| format!("\"{:x}-{:x}{suffix}\"", since.as_nanos(), found.len));
        Self {
            etag: tag.and_then(|tag| tag.parse().ok()),
            modified: since.and(found.modified).map(LastModified::from),
        }
    }

    /// Evaluates a request's conditions in the order of RFC 9110 section 13.2.2, and then its range. `len` is the size
    /// of the file.
    pub(super) fn evaluate(&self, headers: &HeaderMap, len: u64) -> Selection {
        if !self.meets_preconditions(headers) {
            return Selection::PreconditionFailed;
        }
        if self.is_unchanged(headers) {
            return Selection::NotModified;
        }
        let is_same = headers
            .typed_get::<IfRange>()
            .is_none_or(|range| !range.is_modified(self.etag.as_ref(), self.modified.as_ref()));
        if is_same {
            part(headers, len)
        } else {
            Selection::Whole
        }
    }

    fn meets_preconditions(&self, headers: &HeaderMap) -> bool {
        if let Some(required) = headers.typed_get::<IfMatch>() {
            return match &self.etag {
                Some(etag) => required.precondition_passes(etag),
                None => required.is_any(),
            };
        }
        let required = headers.typed_get::<IfUnmodifiedSince>();
        match (required, self.modified) {
            (Some(required), Some(modified)) => required.precondition_passes(modified.into()),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    fn is_unchanged(&self, headers: &HeaderMap) -> bool {
        if let Some(known) = headers.typed_get::<IfNoneMatch>() {
            return match &self.etag {
                Some(etag) => !known.precondition_passes(etag),
                None => known == IfNoneMatch::any(),
            };
        }
        let known = headers.typed_get::<IfModifiedSince>();
        known
            .zip(self.modified)
            .is_some_and(|(known, modified)| !known.is_modified(modified.into()))
    }
}

/// Selects the requested part. A request for several parts gets the whole file, which RFC 9110 section 14.2 allows:
/// small requests for many overlapping parts would cause large responses.
fn part(headers: &HeaderMap, len: u64) -> Selection {
    let mut fields = headers.get_all(RANGE).iter();
    let (Some(range), None) = (fields.next(), fields.next()) else {
        return Selection::Whole;
    };
    match HttpRange::parse_bytes(range.as_bytes(), len) {
        Ok(parts) => match parts.as_slice() {
            [part] => Selection::Part(part.start..part.start + part.length),
            _ => Selection::Whole,
        },
        Err(HttpRangeParseError::NoOverlap) => Selection::Unsatisfiable,
        Err(HttpRangeParseError::InvalidRange) => Selection::Whole,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::{HeaderName, HeaderValue};

    use super::*;

    const THEN: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
    const BEFORE: &str = "Sun, 09 Sep 2001 01:46:39 GMT";

    fn evaluate(fields: &[(&'static str, &str)]) -> Selection {
        let validators = Validators {
            etag: Some("\"one\"".parse().unwrap()),
            modified: Some(LastModified::from(
                UNIX_EPOCH + Duration::from_secs(1_000_000_000),
            )),
        };
        let headers = fields.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        validators.evaluate(&headers.collect(), 10)
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again() {
        for (fields, selection) in [
            (
                &[("if-none-match", "\"one\"")] as &[_],
                Selection::NotModified,
            ),
            (
                &[("if-none-match", "\"two\", W/\"one\"")],
                Selection::NotModified,
            ),
            (&[("if-none-match", "*")], Selection::NotModified),
            (&[("if-none-match", "\"two\"")], Selection::Whole),
            (&[("if-modified-since", THEN)], Selection::NotModified),
            (&[("if-modified-since", BEFORE)], Selection::Whole),
            (&[("if-modified-since", "then")], Selection::Whole),
            (
                &[("if-none-match", "\"two\""), ("if-modified-since", THEN)],
                Selection::Whole,
            ),
            (&[("if-match", "\"two\"")], Selection::PreconditionFailed),
            (&[("if-match", "\"one\"")], Selection::Whole),
            (
                &[("if-unmodified-since", BEFORE)],
                Selection::PreconditionFailed,
            ),
            (&[("if-unmodified-since", THEN)], Selection::Whole),
        ] {
            assert_eq!(evaluate(fields), selection, "{fields:?}");
        }
    }

    #[test]
    fn one_part_is_cut_out_and_several_become_the_whole_file() {
        for (range, selection) in [
            ("bytes=0-0", Selection::Part(0..1)),
            ("bytes=2-", Selection::Part(2..10)),
            ("bytes=-3", Selection::Part(7..10)),
            ("bytes=5-99", Selection::Part(5..10)),
            ("bytes=-99", Selection::Part(0..10)),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=0-1,3-4", Selection::Whole),
            ("bytes=3-1", Selection::Whole),
            ("lines=1-2", Selection::Whole),
            ("bytes=18446744073709551615-", Selection::Unsatisfiable),
            ("bytes=1-18446744073709551615", Selection::Part(1..10)),
        ] {
            assert_eq!(evaluate(&[("range", range)]), selection, "{range}");
        }
    }

    #[test]
    fn a_part_of_a_changed_file_becomes_the_whole_file() {
        let range = ("range", "bytes=0-0");
        for (condition, selection) in [
            ("\"one\"", Selection::Part(0..1)),
            ("\"two\"", Selection::Whole),
            ("W/\"one\"", Selection::Whole),
            (THEN, Selection::Part(0..1)),
            (BEFORE, Selection::Whole),
        ] {
            assert_eq!(
                evaluate(&[range, ("if-range", condition)]),
                selection,
                "{condition}"
            );
        }
    }
}
