//! The scan of a head for the fields that a proxy must act on. One pass finds them all, so that absent fields cost no
//! lookups later.

use std::ops::BitOr;

use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

use crate::upstream::{is_client_field, never_passes};

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(u16);

impl Fields {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const CONNECTION: Self = Self(1);
    pub(crate) const CONTENT_LENGTH: Self = Self(1 << 1);
    pub(crate) const COOKIE: Self = Self(1 << 2);
    pub(crate) const EXPECT: Self = Self(1 << 3);
    pub(crate) const HOST: Self = Self(1 << 4);
    pub(crate) const TE: Self = Self(1 << 5);
    pub(crate) const TRANSFER_ENCODING: Self = Self(1 << 6);
    pub(crate) const UPGRADE: Self = Self(1 << 7);
    /// Further fields that never pass, such as `Keep-Alive` and `Transfer_Encoding`.
    pub(crate) const UNPASSABLE: Self = Self(1 << 8);
    /// Fields about the client that only a proxy may set.
    pub(crate) const CLIENT: Self = Self(1 << 9);
    pub(crate) const TRAILER: Self = Self(1 << 10);
    pub(crate) const AUTHORIZATION: Self = Self(1 << 11);
    pub(crate) const DESTINATION: Self = Self(1 << 12);

    fn of(name: &HeaderName) -> Self {
        match *name {
            AUTHORIZATION => Self::AUTHORIZATION,
            CONNECTION => Self::CONNECTION,
            CONTENT_LENGTH => Self::CONTENT_LENGTH,
            COOKIE => Self::COOKIE,
            EXPECT => Self::EXPECT,
            FORWARDED => Self::CLIENT,
            HOST => Self::HOST,
            TE => Self::TE,
            TRAILER => Self::TRAILER,
            TRANSFER_ENCODING => Self::TRANSFER_ENCODING,
            UPGRADE => Self::UPGRADE,
            _ => match name.as_str() {
                "destination" => Self::DESTINATION,
                name if is_client_field(name) => Self::CLIENT,
                name if never_passes(name) => Self::UNPASSABLE,
                _ => Self::NONE,
            },
        }
    }

    /// `true` if the sets have a field in common.
    pub(crate) fn intersects(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

impl BitOr for Fields {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Result of one pass over a head's fields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeaderScan {
    fields: Fields,
    /// Size of the fields as HTTP/1.1 would write them, in bytes.
    pub(crate) size: usize,
    /// `true` if the client asks for HTML, as browsers do when they open a page.
    pub(crate) accepts_html: bool,
}

impl HeaderScan {
    pub(crate) fn of(headers: &HeaderMap<HeaderValue>) -> Self {
        headers
            .iter()
            .fold(Self::default(), |scan, (name, value)| Self {
                fields: scan.fields | Fields::of(name),
                size: scan.size + name.as_str().len() + value.len() + 4,
                accepts_html: scan.accepts_html || *name == ACCEPT && names_html(value.as_bytes()),
            })
    }

    /// `true` if the head has any of `fields`.
    pub(crate) fn has(self, fields: Fields) -> bool {
        self.fields.intersects(fields)
    }
}

/// `true` if the value of Accept names HTML. Wildcards, which command-line programs send, do not count.
fn names_html(accept: &[u8]) -> bool {
    accept.split(|byte| *byte == b',').any(|element| {
        let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let is_html = parts
            .next()
            .is_some_and(|media| media.eq_ignore_ascii_case(b"text/html"));
        is_html && !parts.any(is_zero_weight)
    })
}

/// `true` for the weight 0, which means "not acceptable" (RFC 9110 section 12.4.2).
fn is_zero_weight(parameter: &[u8]) -> bool {
    matches!(parameter, [b'q' | b'Q', b'=', weight @ ..]
        if weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

/// Value of a field. `None` unless there is exactly one with this name.
pub(crate) fn single_field<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Option<&'a HeaderValue> {
    let mut fields = headers.get_all(name).iter();
    fields.next().filter(|_| fields.next().is_none())
}

/// Elements of the lists in all fields with this name, without those that are not ASCII.
pub(crate) fn list_elements<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    let texts = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_asks_for_html_is_recognized() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml;q=0.9", true),
            ("application/xhtml+xml, Text/HTML ;level=1", true),
            ("text/html;q=0, application/json", false),
            ("text/html; q=0.000", false),
            ("text/html; q=0.001", true),
            ("text/htmlx", false),
            ("*/*", false),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(HeaderScan::of(&headers).accepts_html, expected, "{accept}");
        }
    }

    #[test]
    fn the_scan_finds_every_special_field_and_no_other() {
        for (name, fields) in [
            ("authorization", Fields::AUTHORIZATION),
            ("destination", Fields::DESTINATION),
            ("connection", Fields::CONNECTION),
            ("content-length", Fields::CONTENT_LENGTH),
            ("cookie", Fields::COOKIE),
            ("expect", Fields::EXPECT),
            ("host", Fields::HOST),
            ("te", Fields::TE),
            ("trailer", Fields::TRAILER),
            ("transfer-encoding", Fields::TRANSFER_ENCODING),
            ("upgrade", Fields::UPGRADE),
            ("keep-alive", Fields::UNPASSABLE),
            ("proxy-connection", Fields::UNPASSABLE),
            ("proxy-authenticate", Fields::UNPASSABLE),
            ("proxy-authorization", Fields::UNPASSABLE),
            ("http2-settings", Fields::UNPASSABLE),
            ("proxy", Fields::UNPASSABLE),
            ("forwarded", Fields::CLIENT),
            ("x_forwarded_for", Fields::CLIENT),
            ("transfer_encoding", Fields::UNPASSABLE),
            ("content.length", Fields::UNPASSABLE),
            ("http2_settings", Fields::UNPASSABLE),
            ("x-request-id", Fields::NONE),
            ("accept", Fields::NONE),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("v"));
            let scan = HeaderScan::of(&headers);
            assert_eq!(scan.fields, fields, "{name}");
            assert_eq!(scan.size, name.len() + 5);
        }
    }
}
