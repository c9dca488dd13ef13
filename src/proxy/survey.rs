//! Which of the fields that a proxy must act on a head has: found in one pass, so that the many that are absent cost
//! nothing more.

use std::ops::BitOr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

use crate::upstream::is_claim;

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(u16);

impl Fields {
    pub(super) const NONE: Self = Self(0);
    pub(super) const CONNECTION: Self = Self(1);
    pub(super) const CONTENT_LENGTH: Self = Self(1 << 1);
    pub(super) const COOKIE: Self = Self(1 << 2);
    pub(super) const EXPECT: Self = Self(1 << 3);
    pub(super) const HOST: Self = Self(1 << 4);
    pub(super) const TE: Self = Self(1 << 5);
    pub(super) const TRANSFER_ENCODING: Self = Self(1 << 6);
    pub(super) const UPGRADE: Self = Self(1 << 7);
    /// `Keep-Alive`, `Proxy-Authenticate`, `Proxy-Authorization` or `Proxy-Connection`.
    pub(super) const OTHER_HOP: Self = Self(1 << 8);
    /// `HTTP2-Settings` or `Proxy`.
    pub(super) const UNWANTED: Self = Self(1 << 9);
    /// What only a proxy may say of a client.
    pub(super) const CLAIM: Self = Self(1 << 10);
    pub(super) const TRAILER: Self = Self(1 << 11);

    fn of(name: &HeaderName) -> Self {
        match *name {
            CONNECTION => Self::CONNECTION,
            CONTENT_LENGTH => Self::CONTENT_LENGTH,
            COOKIE => Self::COOKIE,
            EXPECT => Self::EXPECT,
            FORWARDED => Self::CLAIM,
            HOST => Self::HOST,
            PROXY_AUTHENTICATE | PROXY_AUTHORIZATION => Self::OTHER_HOP,
            TE => Self::TE,
            TRAILER => Self::TRAILER,
            TRANSFER_ENCODING => Self::TRANSFER_ENCODING,
            UPGRADE => Self::UPGRADE,
            _ => match name.as_str() {
                "keep-alive" | "proxy-connection" => Self::OTHER_HOP,
                "http2-settings" | "proxy" => Self::UNWANTED,
                name if is_claim(name) => Self::CLAIM,
                _ => Self::NONE,
            },
        }
    }

    /// Whether any of `others` is among them.
    pub(super) fn has(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

impl BitOr for Fields {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What one pass over a head's fields tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Survey {
    fields: Fields,
    /// Bytes of the fields as HTTP/1.1 would write them.
    pub(super) size: usize,
}

impl Survey {
    pub(super) fn of(headers: &HeaderMap<HeaderValue>) -> Self {
        headers
            .iter()
            .fold(Self::default(), |survey, (name, value)| Self {
                fields: survey.fields | Fields::of(name),
                size: survey.size + name.as_str().len() + value.len() + 4,
            })
    }

    /// Whether any of `fields` is there.
    pub(super) fn has(self, fields: Fields) -> bool {
        self.fields.has(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_matters_is_seen_and_others_are_not() {
        for (name, fields) in [
            ("connection", Fields::CONNECTION),
            ("content-length", Fields::CONTENT_LENGTH),
            ("cookie", Fields::COOKIE),
            ("expect", Fields::EXPECT),
            ("host", Fields::HOST),
            ("te", Fields::TE),
            ("trailer", Fields::TRAILER),
            ("transfer-encoding", Fields::TRANSFER_ENCODING),
            ("upgrade", Fields::UPGRADE),
            ("keep-alive", Fields::OTHER_HOP),
            ("proxy-connection", Fields::OTHER_HOP),
            ("proxy-authenticate", Fields::OTHER_HOP),
            ("proxy-authorization", Fields::OTHER_HOP),
            ("http2-settings", Fields::UNWANTED),
            ("proxy", Fields::UNWANTED),
            ("forwarded", Fields::CLAIM),
            ("x_forwarded_for", Fields::CLAIM),
            ("x-request-id", Fields::NONE),
            ("accept", Fields::NONE),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("v"));
            let survey = Survey::of(&headers);
            assert_eq!(survey.fields, fields, "{name}");
            assert_eq!(survey.size, name.len() + 5);
        }
    }
}
