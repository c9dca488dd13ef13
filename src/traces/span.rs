//! A finished span.

use std::mem;
use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::id::{SpanId, TraceId};

/// Maximum length of a text in a span, in bytes, so that spans which wait for the collector hold little memory.
const MAX_TEXT: usize = 1024;

/// Role of the process in the exchange that a span records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanKind {
    Server,
    Client,
}

/// A finished span.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) kind: SpanKind,
    pub(super) name: String,
    pub(super) start: SystemTime,
    pub(super) duration: Duration,
    pub(super) attributes: Attributes,
}

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AttributeValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// `true` or `false`.
    Boolean(bool),
}

/// Attributes of a span, and whether it records a failure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    pub(super) list: Vec<(&'static str, AttributeValue)>,
    pub(super) is_failure: bool,
}

impl Attributes {
    /// Adds a text, which is shortened if it is long. Bytes that are not UTF-8 are replaced.
    pub fn text(&mut self, key: &'static str, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let mut text = String::from_utf8_lossy(&text[..text.len().min(MAX_TEXT)]).into_owned();
        // The mark of a byte that was replaced is longer than the byte.
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        self.list.push((key, AttributeValue::Text(text)));
    }

    /// Adds a number.
    pub fn number(&mut self, key: &'static str, number: impl Into<i64>) {
        self.list.push((key, AttributeValue::Number(number.into())));
    }

    /// Adds `true` or `false`.
    pub fn boolean(&mut self, key: &'static str, value: bool) {
        self.list.push((key, AttributeValue::Boolean(value)));
    }

    /// Adds the status of a response. One above 499 is a failure.
    pub fn status(&mut self, status: StatusCode) {
        self.number("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            self.failed(status.as_str());
        }
    }

    /// Records a failure with the word for its kind, which must be one of few. The first one counts.
    pub fn failed(&mut self, kind: &str) {
        if !mem::replace(&mut self.is_failure, true) {
            self.text("error.type", kind);
        }
    }

    /// Adds the method as the conventions for HTTP spans want it: an unknown one must not become a value of its own.
    pub fn method(&mut self, method: &[u8]) {
        match method_name(method) {
            Some(name) => self.text("http.request.method", name),
            None => {
                self.text("http.request.method", "_OTHER");
                if !method.is_empty() {
                    self.text("http.request.method_original", method);
                }
            }
        }
    }
}

/// Methods that may stand in the names of spans.
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

/// Name of a method that is known, and which may stand in the name of a span.
#[must_use]
pub fn method_name(method: &[u8]) -> Option<&'static str> {
    let mut known = METHODS.into_iter();
    known.find(|known| known.as_bytes() == method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_short_and_an_unknown_method_is_no_value_of_its_own() {
        let mut attributes = Attributes::default();
        attributes.text("long", "x".repeat(5000));
        attributes.text("bytes", b"a\xff");
        attributes.text("long bytes", vec![0xff; 5000]);
        attributes.method(b"BREW");
        attributes.method(b"GET");
        let texts = attributes.list.iter().map(|(_, value)| match value {
            AttributeValue::Text(text) => text.as_str(),
            _ => "",
        });
        let texts: Vec<_> = texts.collect();
        assert_eq!(texts[0].len(), MAX_TEXT);
        assert_eq!((texts[1], texts[2].len()), ("a\u{fffd}", MAX_TEXT - 1));
        assert_eq!(texts[3..], ["_OTHER", "BREW", "GET"]);
    }
}
