//! The context of a trace in the header field `traceparent` (W3C Trace Context).

use http::{HeaderMap, HeaderName, HeaderValue};

use super::id::{SpanId, TraceId, parse_hex, write_hex};

/// Field with the ids of the trace and of the span of the sender.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Field with data of tracing systems, which belongs to a `traceparent`.
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of a value in version 00, and of the same parts in later versions.
const LEN: usize = 55;

/// Flag that the sender records the trace.
const SAMPLED: u8 = 1;

/// Flag that the trace id is random, from level 2 of the specification.
const RANDOM: u8 = 2;

/// Context of a trace: its id, the id of the span of the sender, and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceContext {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) flags: Flags,
}

/// Flags of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) fn is_sampled(self) -> bool {
        self.0 & SAMPLED != 0
    }

    /// The same flags, except whether the trace is recorded.
    pub(super) fn with_sampled(self, is_sampled: bool) -> Self {
        Self((self.0 & RANDOM) | u8::from(is_sampled))
    }
}

impl TraceContext {
    /// Reads the context of a request. `None` unless there is exactly one valid `traceparent`.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        Self::parse(value.as_bytes())
    }

    /// Parses a value. A version later than 00 may have more parts at the end, which are ignored.
    fn parse(value: &[u8]) -> Option<Self> {
        let (parts, rest) = value.split_at_checked(LEN)?;
        let has_dashes = [2, 35, 52].iter().all(|at| parts[*at] == b'-');
        let version = u8::try_from(parse_hex(&parts[..2])?).ok()?;
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let flags = u8::try_from(parse_hex(&parts[53..])?).ok()?;
        (has_dashes && is_whole).then_some(Self {
            trace_id: TraceId::parse(&parts[3..35])?,
            span_id: SpanId::parse(&parts[36..52])?,
            flags: Flags(flags),
        })
    }

    /// Value of the field, in version 00.
    pub(super) fn value(self) -> HeaderValue {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(
            u128::from_be_bytes(self.trace_id.bytes()),
            &mut value[3..35],
        );
        let span = u64::from_be_bytes(self.span_id.bytes());
        write_hex(span.into(), &mut value[36..52]);
        write_hex(self.flags.0.into(), &mut value[53..]);
        HeaderValue::from_bytes(&value).expect("digits and dashes are valid in a field")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(values: &[&str]) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                TRACEPARENT,
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        TraceContext::of(&headers)
    }

    #[test]
    fn a_valid_value_is_written_as_it_was_read() {
        let context = read(&[VALUE]).unwrap();
        assert_eq!(context.value(), VALUE);
        assert!(context.flags.is_sampled());
        let random = read(&[&VALUE.replace("-01", "-02")]).unwrap();
        assert!(!random.flags.is_sampled());
        assert_eq!(random.flags.with_sampled(true), Flags(3));
        assert_eq!(Flags(0xfd).with_sampled(false), Flags(0));
    }

    #[test]
    fn a_malformed_value_is_no_context() {
        for value in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
            "é0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(read(&[value]), None, "{value}");
        }
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[VALUE, VALUE]), None, "two fields");
    }

    #[test]
    fn a_later_version_may_have_more_parts() {
        for value in [
            VALUE.replacen("00", "01", 1),
            VALUE.replacen("00", "cc", 1) + "-more",
        ] {
            let context = read(&[&value]).unwrap();
            assert_eq!(context.value(), VALUE, "{value}");
        }
    }
}
