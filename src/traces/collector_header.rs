//! Header field for the collector, whose value is a secret.

use std::fmt;

use http::{HeaderName, HeaderValue};

/// Header field for the collector. `Debug` does not show its value.
#[derive(Clone, PartialEq, Eq)]
pub struct CollectorHeader {
    /// Name of the field.
    pub name: HeaderName,
    pub(super) value: HeaderValue,
    reference: Option<String>,
}

impl CollectorHeader {
    /// Creates a field whose value was read from `reference`, or is written in the configuration itself. The value is a
    /// secret.
    #[must_use]
    pub fn new(name: HeaderName, mut value: HeaderValue, reference: Option<String>) -> Self {
        value.set_sensitive(true);
        Self {
            name,
            value,
            reference,
        }
    }

    /// Place from which the value was read; `None` if it is written in the configuration itself.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }
}

impl fmt::Debug for CollectorHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CollectorHeader({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_for_the_collector_is_never_shown() {
        let value = HeaderValue::from_static("s3cret");
        let header = CollectorHeader::new(HeaderName::from_static("x-key"), value, None);
        assert_eq!(format!("{header:?}"), "CollectorHeader(x-key)");
        assert!(!format!("{:?}", header.value).contains("s3cret"));
    }
}
