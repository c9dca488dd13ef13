//! The trace to which a request belongs.

use http::{HeaderMap, HeaderValue};

use super::id::{SpanId, TraceId};
use super::trace_context::{Flags, TRACEPARENT, TRACESTATE, TraceContext};

/// The trace to which a request belongs, whether it is recorded or not.
#[derive(Clone, Copy, Debug)]
pub struct RequestTrace {
    pub(super) trace_id: TraceId,
    /// Span of the proxy.
    pub(super) span_id: SpanId,
    /// Span of the sender of the request, if it has named one.
    pub(super) parent: Option<SpanId>,
    pub(super) flags: Flags,
}

impl RequestTrace {
    /// Continues the trace that a request names, or begins one. `is_sampled` decides from the sender's decision, if the
    /// request names a trace.
    pub(super) fn begin(
        headers: &HeaderMap,
        is_sampled: impl FnOnce(Option<bool>) -> bool,
    ) -> Self {
        let given = TraceContext::of(headers);
        let flags = given.map_or_else(Flags::default, |given| given.flags);
        let is_sampled = is_sampled(given.map(|given| given.flags.is_sampled()));
        Self {
            trace_id: given.map_or_else(TraceId::random, |given| given.trace_id),
            span_id: SpanId::random(),
            parent: given.map(|given| given.span_id),
            flags: flags.with_sampled(is_sampled),
        }
    }

    /// Id of the trace.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Names the trace to the backend. A `tracestate` passes on only with the `traceparent` to which it belongs.
    pub fn pass_on(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.value(self.span_id));
        if self.parent.is_none() {
            headers.remove(TRACESTATE);
        }
    }

    /// Value of `traceparent` for a span of this trace.
    pub(super) fn value(&self, span_id: SpanId) -> HeaderValue {
        let context = TraceContext {
            trace_id: self.trace_id,
            span_id,
            flags: self.flags,
        };
        context.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_trace_of_a_request_goes_on_under_a_span_of_the_proxy() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(VALUE));
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        let trace = RequestTrace::begin(&headers, |given| given == Some(false));
        trace.pass_on(&mut headers);
        let passed = TraceContext::of(&headers).unwrap();
        assert_eq!(passed.trace_id.to_string(), VALUE[3..35]);
        assert_ne!(passed.span_id.to_string(), VALUE[36..52]);
        assert_eq!(trace.parent.unwrap().to_string(), VALUE[36..52]);
        assert!(!passed.flags.is_sampled(), "as was decided");
        assert_eq!(headers[TRACESTATE], "a=b");
    }

    #[test]
    fn a_malformed_context_is_replaced_with_its_state() {
        let mut headers = HeaderMap::new();
        for value in [VALUE, "00-0-0-0"] {
            headers.append(TRACEPARENT, HeaderValue::from_static(value));
            headers.append(TRACESTATE, HeaderValue::from_static("a=b"));
        }
        let trace = RequestTrace::begin(&headers, |given| given.is_none());
        trace.pass_on(&mut headers);
        let passed = TraceContext::of(&headers).unwrap();
        assert_ne!(passed.trace_id.to_string(), VALUE[3..35]);
        assert!(passed.flags.is_sampled() && trace.parent.is_none());
        assert!(!headers.contains_key(TRACESTATE));
    }
}
