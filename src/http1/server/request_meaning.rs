//! Meaning of the fields of a request: where its body ends, and what becomes of the connection.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderValue, Version};

use super::error::Refusal;
use crate::http1::response_head::parse_length;

/// Largest length of a body. Longer ones look like an attack on the arithmetic of some server.
const LONGEST_BODY: u64 = u64::MAX - 2;

/// Framing of the body of a request (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestFraming {
    /// A body of this length, which may be 0.
    Length(u64),
    Chunked,
    /// Several transfer codings, of which the last one is `chunked`. The body is not read, and the service can say why the
    /// request is refused.
    Unknown,
}

/// Meaning of the fields of a request, as far as they concern its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestMeaning {
    pub(super) version: Version,
    length: Option<u64>,
    coding: Option<Coding>,
    has_close: bool,
    has_keep_alive: bool,
    /// `true` if the client waits to be asked for the body.
    pub(super) expects_continue: bool,
    /// `true` if the client offers another protocol.
    pub(super) asks_for_upgrade: bool,
    /// `true` if the client understands trailers.
    pub(super) takes_trailers: bool,
}

/// Transfer codings of a request so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Chunked,
    /// Several, of which the last one is `chunked`.
    Several,
    /// The last one is not `chunked`.
    Unended,
}

impl RequestMeaning {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            length: None,
            coding: None,
            has_close: false,
            has_keep_alive: false,
            expects_continue: false,
            asks_for_upgrade: false,
            takes_trailers: false,
        }
    }

    /// Takes a field into account. Fails if the framing is ambiguous.
    pub(super) fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), Refusal> {
        match *name {
            CONTENT_LENGTH => {
                let length = parse_length(value.as_bytes()).ok_or(Refusal::Malformed)?;
                if self.length.is_some() || length > LONGEST_BODY {
                    return Err(Refusal::Malformed);
                }
                self.length = Some(length);
            }
            TRANSFER_ENCODING if self.version != Version::HTTP_11 => {
                return Err(Refusal::Malformed);
            }
            TRANSFER_ENCODING => self.coding = Some(Coding::after(self.coding, value)),
            CONNECTION => {
                self.has_close |= has_token(value, "close");
                self.has_keep_alive |= has_token(value, "keep-alive");
            }
            EXPECT => {
                let expectation = value.as_bytes();
                self.expects_continue = self.version == Version::HTTP_11
                    && expectation.eq_ignore_ascii_case(b"100-continue");
            }
            UPGRADE => self.asks_for_upgrade = self.version == Version::HTTP_11,
            TE => self.takes_trailers |= has_token(value, "trailers"),
            _ => {}
        }
        Ok(())
    }

    /// Decides where the body ends. Fails if that is ambiguous.
    pub(super) fn framing(&self) -> Result<RequestFraming, Refusal> {
        match (self.coding, self.length) {
            (Some(_), Some(_)) | (Some(Coding::Unended), None) => Err(Refusal::Malformed),
            (Some(Coding::Several), None) => Ok(RequestFraming::Unknown),
            (Some(Coding::Chunked), None) => Ok(RequestFraming::Chunked),
            (None, length) => Ok(RequestFraming::Length(length.unwrap_or_default())),
        }
    }

    /// `true` if the client wants to send another request afterwards.
    pub(super) fn keeps_alive(&self) -> bool {
        !self.has_close && (self.version == Version::HTTP_11 || self.has_keep_alive)
    }
}

impl Coding {
    /// The codings after another line with `value`.
    fn after(earlier: Option<Self>, value: &HeaderValue) -> Self {
        let is_chunked = |coding: &str| coding.trim().eq_ignore_ascii_case("chunked");
        let Ok(codings) = value.to_str() else {
            return Self::Unended;
        };
        if !codings.rsplit(',').next().is_some_and(is_chunked) {
            Self::Unended
        } else if earlier.is_none() && is_chunked(codings) {
            Self::Chunked
        } else {
            Self::Several
        }
    }
}

/// `true` if the list in `value` has this token.
pub(super) fn has_token(value: &HeaderValue, token: &str) -> bool {
    let mut tokens = value
        .to_str()
        .ok()
        .into_iter()
        .flat_map(|list| list.split(','));
    tokens.any(|found| found.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(
        version: Version,
        fields: &[(HeaderName, &'static str)],
    ) -> Result<RequestMeaning, Refusal> {
        let mut meaning = RequestMeaning::new(version);
        for (name, value) in fields {
            meaning.note(name, &HeaderValue::from_static(value))?;
        }
        Ok(meaning)
    }

    #[test]
    fn the_framing_follows_from_the_fields_or_the_request_is_refused() {
        use RequestFraming::{Chunked, Length, Unknown};
        const LENGTH: HeaderName = CONTENT_LENGTH;
        const CODING: HeaderName = TRANSFER_ENCODING;
        for (fields, expected) in [
            (&[][..], Ok(Length(0))),
            (&[(LENGTH, "0")], Ok(Length(0))),
            (&[(LENGTH, "007")], Ok(Length(7))),
            (&[(CODING, "Chunked")], Ok(Chunked)),
            (&[(CODING, "gzip, chunked")], Ok(Unknown)),
            (&[(CODING, "chunked,chunked")], Ok(Unknown)),
            (&[(CODING, "gzip"), (CODING, "chunked")], Ok(Unknown)),
            (&[(LENGTH, "7"), (LENGTH, "7")], Err(Refusal::Malformed)),
            (&[(LENGTH, "7, 7")], Err(Refusal::Malformed)),
            (&[(LENGTH, "+7")], Err(Refusal::Malformed)),
            (&[(LENGTH, "")], Err(Refusal::Malformed)),
            (&[(LENGTH, "18446744073709551614")], Err(Refusal::Malformed)),
            (&[(LENGTH, "18446744073709551616")], Err(Refusal::Malformed)),
            (
                &[(CODING, "chunked"), (LENGTH, "7")],
                Err(Refusal::Malformed),
            ),
            (
                &[(LENGTH, "7"), (CODING, "chunked")],
                Err(Refusal::Malformed),
            ),
            (&[(CODING, "")], Err(Refusal::Malformed)),
            (&[(CODING, "chunked, gzip")], Err(Refusal::Malformed)),
            (
                &[(CODING, "chunked"), (CODING, "identity")],
                Err(Refusal::Malformed),
            ),
        ] {
            let meaning = meaning(Version::HTTP_11, fields);
            let found = meaning.and_then(|meaning| meaning.framing());
            assert_eq!(found, expected, "{fields:?}");
        }
        let old = meaning(Version::HTTP_10, &[(CODING, "chunked")]);
        assert!(old.is_err());
    }

    #[test]
    fn the_connection_is_kept_as_version_and_fields_say() {
        for (version, fields, expected) in [
            (Version::HTTP_11, &[][..], true),
            (Version::HTTP_11, &[(CONNECTION, "x, Close")], false),
            (
                Version::HTTP_11,
                &[(CONNECTION, "close"), (CONNECTION, "keep-alive")],
                false,
            ),
            (Version::HTTP_10, &[], false),
            (Version::HTTP_10, &[(CONNECTION, "Keep-Alive")], true),
            (
                Version::HTTP_10,
                &[(CONNECTION, "keep-alive"), (CONNECTION, "close")],
                false,
            ),
        ] {
            let meaning = meaning(version, fields).unwrap();
            assert_eq!(meaning.keeps_alive(), expected, "{version:?} {fields:?}");
        }
    }

    #[test]
    fn http_1_0_knows_neither_upgrades_nor_expectations() {
        let fields = [
            (UPGRADE, "x"),
            (EXPECT, "100-Continue"),
            (TE, "a, Trailers"),
        ];
        for (version, expected) in [(Version::HTTP_11, true), (Version::HTTP_10, false)] {
            let meaning = meaning(version, &fields).unwrap();
            assert_eq!(meaning.asks_for_upgrade, expected);
            assert_eq!(meaning.expects_continue, expected);
            assert!(meaning.takes_trailers);
        }
    }
}
