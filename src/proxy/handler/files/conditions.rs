//! What a request asks of a file beyond its name: only if it has changed, and perhaps only a part (RFC 9110 sections 13
//! and 14).

use std::ops::Range;

use headers::{
    ETag, HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince,
    LastModified,
};
use http::HeaderMap;
use http::header::RANGE;
use http_range::{HttpRange, HttpRangeParseError};

use super::folder::Found;

/// By what a file's state is known again.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    pub(super) etag: Option<ETag>,
    pub(super) modified: Option<LastModified>,
}

/// How a request is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Whole,
    Part(Range<u64>),
    NotModified,
    PreconditionFailed,
    /// The part that is asked for lies behind the end.
    NoSuchPart,
}

impl Validators {
    /// Those of a file: its time to the nanosecond and its size. A coding is another representation.
    pub(super) fn of(found: &Found) -> Self {
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

    /// The verdict on a request, in the order of RFC 9110 section 13.2.2.
    pub(super) fn judge(&self, headers: &HeaderMap, len: u64) -> Verdict {
        if !self.is_as_required(headers) {
            return Verdict::PreconditionFailed;
        }
        if self.is_known(headers) {
            return Verdict::NotModified;
        }
        let is_same = headers
            .typed_get::<IfRange>()
            .is_none_or(|range| !range.is_modified(self.etag.as_ref(), self.modified.as_ref()));
        match is_same {
            true => part(headers, len),
            false => Verdict::Whole,
        }
    }

    fn is_as_required(&self, headers: &HeaderMap) -> bool {
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

    fn is_known(&self, headers: &HeaderMap) -> bool {
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

/// One part; a request for several gets the whole, as it may, so that small requests cause no large answers.
fn part(headers: &HeaderMap, len: u64) -> Verdict {
    let mut fields = headers.get_all(RANGE).iter();
    let (Some(range), None) = (fields.next(), fields.next()) else {
        return Verdict::Whole;
    };
    match HttpRange::parse_bytes(range.as_bytes(), len) {
        Ok(parts) => match parts.as_slice() {
            [part] => Verdict::Part(part.start..part.start + part.length),
            _ => Verdict::Whole,
        },
        Err(HttpRangeParseError::NoOverlap) => Verdict::NoSuchPart,
        Err(HttpRangeParseError::InvalidRange) => Verdict::Whole,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::{HeaderName, HeaderValue};

    use super::*;

    const THEN: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
    const BEFORE: &str = "Sun, 09 Sep 2001 01:46:39 GMT";

    fn judge(fields: &[(&'static str, &str)]) -> Verdict {
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
        validators.judge(&headers.collect(), 10)
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        for (fields, verdict) in [
            (
                &[("if-none-match", "\"one\"")] as &[_],
                Verdict::NotModified,
            ),
            (
                &[("if-none-match", "\"two\", W/\"one\"")],
                Verdict::NotModified,
            ),
            (&[("if-none-match", "*")], Verdict::NotModified),
            (&[("if-none-match", "\"two\"")], Verdict::Whole),
            (&[("if-modified-since", THEN)], Verdict::NotModified),
            (&[("if-modified-since", BEFORE)], Verdict::Whole),
            (&[("if-modified-since", "then")], Verdict::Whole),
            (
                &[("if-none-match", "\"two\""), ("if-modified-since", THEN)],
                Verdict::Whole,
            ),
            (&[("if-match", "\"two\"")], Verdict::PreconditionFailed),
            (&[("if-match", "\"one\"")], Verdict::Whole),
            (
                &[("if-unmodified-since", BEFORE)],
                Verdict::PreconditionFailed,
            ),
            (&[("if-unmodified-since", THEN)], Verdict::Whole),
        ] {
            assert_eq!(judge(fields), verdict, "{fields:?}");
        }
    }

    #[test]
    fn one_part_is_cut_out_and_several_are_the_whole() {
        for (range, verdict) in [
            ("bytes=0-0", Verdict::Part(0..1)),
            ("bytes=2-", Verdict::Part(2..10)),
            ("bytes=-3", Verdict::Part(7..10)),
            ("bytes=5-99", Verdict::Part(5..10)),
            ("bytes=-99", Verdict::Part(0..10)),
            ("bytes=10-", Verdict::NoSuchPart),
            ("bytes=0-1,3-4", Verdict::Whole),
            ("bytes=3-1", Verdict::Whole),
            ("lines=1-2", Verdict::Whole),
            ("bytes=18446744073709551615-", Verdict::NoSuchPart),
            ("bytes=1-18446744073709551615", Verdict::Part(1..10)),
        ] {
            assert_eq!(judge(&[("range", range)]), verdict, "{range}");
        }
    }

    #[test]
    fn a_part_of_another_state_is_the_whole() {
        let range = ("range", "bytes=0-0");
        for (condition, verdict) in [
            ("\"one\"", Verdict::Part(0..1)),
            ("\"two\"", Verdict::Whole),
            ("W/\"one\"", Verdict::Whole),
            (THEN, Verdict::Part(0..1)),
            (BEFORE, Verdict::Whole),
        ] {
            assert_eq!(
                judge(&[range, ("if-range", condition)]),
                verdict,
                "{condition}"
            );
        }
    }
}
