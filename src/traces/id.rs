//! Ids of traces and spans.

use std::fmt;
use std::num::NonZero;

/// Id of a trace: 16 bytes that are not all zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId(NonZero<u128>);

/// Id of a span: 8 bytes that are not all zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanId(NonZero<u64>);

impl TraceId {
    pub(super) fn random() -> Self {
        Self(NonZero::new(fastrand::u128(..)).unwrap_or(NonZero::<u128>::MIN))
    }

    /// Parses 32 hexadecimal digits in lower case.
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        NonZero::new(parse_hex(digits)?).map(Self)
    }

    /// Bytes in the order in which they are written.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }
}

impl SpanId {
    pub(super) fn random() -> Self {
        Self(NonZero::new(fastrand::u64(..)).unwrap_or(NonZero::<u64>::MIN))
    }

    /// Parses 16 hexadecimal digits in lower case.
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        let number = u64::try_from(parse_hex(digits)?).ok()?;
        NonZero::new(number).map(Self)
    }

    /// Bytes in the order in which they are written.
    pub(super) fn bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

/// Parses at most 32 hexadecimal digits. Digits in upper case are invalid (W3C Trace Context section 3.2).
pub(super) fn parse_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(value))
    })
}

/// Writes a number as hexadecimal digits in lower case, which fill `digits`.
pub(super) fn write_hex(mut number: u128, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[usize::try_from(number & 0xf).unwrap_or_default()];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_it_was_read() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        let trace = TraceId::parse(text.as_bytes()).unwrap();
        assert_eq!(trace.to_string(), text);
        assert_eq!(trace.bytes()[..2], [0x0a, 0xf7]);
        let span = SpanId::parse(b"00f067aa0ba902b7").unwrap();
        assert_eq!(span.to_string(), "00f067aa0ba902b7");
        assert_eq!(span.bytes()[..2], [0x00, 0xf0]);
        let mut digits = [0; 6];
        write_hex(0xb_1234, &mut digits);
        assert_eq!(&digits, b"0b1234");
    }

    #[test]
    fn zeros_and_digits_in_upper_case_are_no_id() {
        assert_eq!(TraceId::parse(&[b'0'; 32]), None);
        assert_eq!(SpanId::parse(&[b'0'; 16]), None);
        assert_eq!(SpanId::parse(b"00F067AA0BA902B7"), None);
        assert_eq!(SpanId::parse(b"00f067aa0ba902b "), None);
    }
}
