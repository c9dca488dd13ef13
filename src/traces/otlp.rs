//! The messages of OTLP 1.x for traces, as `opentelemetry/proto/collector/trace/v1/trace_service.proto` defines them.
//!
//! The exporter of the OpenTelemetry project would bring 16 crates, and a queue, a thread and counters of its own; `prost`
//! brings four, and the rest is here anyway.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message;

use super::span::{self, AttributeValue, SpanKind};

/// Flags of a span: whether its parent belongs to another process is known, and it does.
const KNOWS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Code of the status of a span that records a failure.
const ERROR: i32 = 2;

/// Encodes the spans of a `resource`.
pub(super) fn encode(resource: &[(&'static str, String)], spans: Vec<span::Span>) -> Vec<u8> {
    let text =
        |(key, value): &(&'static str, String)| KeyValue::new(key, Value::Text(value.clone()));
    let spans = ScopeSpans {
        scope: Some(Scope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }),
        spans: spans.into_iter().map(Span::from).collect(),
    };
    let request = ExportRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: resource.iter().map(text).collect(),
            }),
            scope_spans: vec![spans],
        }],
    };
    request.encode_to_vec()
}

/// Reads a response: the number of spans that the collector has refused, and why. A response that cannot be read says nothing.
pub(super) fn rejected(response: &[u8]) -> (u64, String) {
    let response = ExportResponse::decode(response).unwrap_or_default();
    let partial = response.partial_success.unwrap_or_default();
    let spans = partial.rejected_spans.try_into().unwrap_or_default();
    (spans, partial.error_message)
}

#[derive(Clone, PartialEq, Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(int64, tag = "3")]
    Number(i64),
}

#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

impl KeyValue {
    fn new(key: &str, value: Value) -> Self {
        Self {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
        }
    }
}

impl From<AttributeValue> for Value {
    fn from(value: AttributeValue) -> Self {
        match value {
            AttributeValue::Text(text) => Self::Text(text),
            AttributeValue::Number(number) => Self::Number(number),
            AttributeValue::Boolean(value) => Self::Boolean(value),
        }
    }
}

impl From<span::Span> for Span {
    fn from(span: span::Span) -> Self {
        let (kind, is_remote) = match span.kind {
            SpanKind::Server => (2, span.parent.is_some()),
            SpanKind::Client => (3, false),
        };
        let attributes = span.attributes;
        let is_failure = attributes.is_failure;
        let attributes = attributes.list.into_iter();
        Self {
            trace_id: span.trace_id.bytes().to_vec(),
            span_id: span.span_id.bytes().to_vec(),
            parent_span_id: span.parent.map_or_else(Vec::new, |id| id.bytes().to_vec()),
            name: span.name,
            kind,
            start_time_unix_nano: nanos(span.start, Duration::ZERO),
            end_time_unix_nano: nanos(span.start, span.duration),
            attributes: attributes
                .map(|(key, value)| KeyValue::new(key, value.into()))
                .collect(),
            status: is_failure.then_some(Status { code: ERROR }),
            // A span is exported only if its trace is sampled, which is flag 1.
            flags: 1 | KNOWS_REMOTE | if is_remote { IS_REMOTE } else { 0 },
        }
    }
}

/// Nanoseconds from 1970 until `later` after `time`.
fn nanos(time: SystemTime, later: Duration) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default() + later;
    since.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_says_how_many_spans_were_refused_and_why() {
        let response = ExportResponse {
            partial_success: Some(PartialSuccess {
                rejected_spans: 3,
                error_message: "too old".to_owned(),
            }),
        };
        let bytes = response.encode_to_vec();
        assert_eq!(rejected(&bytes), (3, "too old".to_owned()));
        for unreadable in [&b""[..], &bytes[..3], b"{\"partialSuccess\":{}}"] {
            assert_eq!(rejected(unreadable), (0, String::new()));
        }
    }
}
