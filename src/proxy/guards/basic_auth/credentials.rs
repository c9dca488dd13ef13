//! What a client says of itself in an Authorization field (RFC 7617).

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// More than any name and password take.
const MOST_BYTES: usize = 1024;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A name and a password, which are never printed.
pub(in crate::proxy::guards) struct Credentials {
    bytes: Vec<u8>,
    colon: usize,
}

impl Credentials {
    /// Those of a request that brings exactly one field with them, of a sane size.
    pub(in crate::proxy::guards) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else {
            return None;
        };
        let (scheme, token) = field.as_bytes().split_at_checked(5)?;
        let token = token.strip_prefix(b" ")?.trim_ascii();
        if !scheme.eq_ignore_ascii_case(b"basic") || token.len() > MOST_BYTES / 3 * 4 {
            return None;
        }
        let bytes = BASE64.decode(token).ok()?;
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        Some(Self { bytes, colon })
    }

    /// All that is before the first colon.
    pub(in crate::proxy::guards) fn user(&self) -> &[u8] {
        &self.bytes[..self.colon]
    }

    /// All that is behind it.
    pub(in crate::proxy::guards) fn password(&self) -> &[u8] {
        &self.bytes[self.colon + 1..]
    }

    /// Both, with the colon between them, which no name has.
    pub(in crate::proxy::guards) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
pub(in crate::proxy::guards) mod tests {
    use http::HeaderValue;

    use super::*;

    /// A head with these credentials.
    pub(in crate::proxy) fn basic(credentials: &str) -> HeaderMap {
        let value = format!("Basic {}", BASE64.encode(credentials));
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(value).unwrap())])
    }

    #[test]
    fn the_first_colon_parts_the_name_from_the_password() {
        for (text, user, password) in [
            ("anna:secret", "anna", "secret"),
            ("anna:se:cr:et", "anna", "se:cr:et"),
            ("änna:pässwörd", "änna", "pässwörd"),
            (":", "", ""),
        ] {
            let credentials = Credentials::of(&basic(text)).unwrap();
            assert_eq!(credentials.user(), user.as_bytes());
            assert_eq!(credentials.password(), password.as_bytes());
        }
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_padding_may_be_left_out() {
        for value in [
            "basic YTpi",
            "BASIC  YTpi ",
            "Basic YTpiYw==",
            "Basic YTpiYw",
        ] {
            let value = HeaderValue::from_static(value);
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
            assert_eq!(Credentials::of(&headers).unwrap().user(), b"a");
        }
    }

    #[test]
    fn what_is_no_single_sane_pair_is_none() {
        let huge = basic(&format!("a:{}", "b".repeat(2000)));
        assert!(Credentials::of(&huge).is_none());
        let mut twice = basic("a:b");
        twice.append(AUTHORIZATION, twice[AUTHORIZATION].clone());
        assert!(Credentials::of(&twice).is_none());
        for value in [
            "",
            "Basic",
            "Basic ",
            "Basic YQ==",
            "Basic ****",
            "BasicYTpi",
            "Bearer YTpi",
            "Basic YTpi, Basic YTpi",
        ] {
            let value = HeaderValue::from_static(value);
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.clone())]);
            assert!(Credentials::of(&headers).is_none(), "{value:?}");
        }
        assert!(Credentials::of(&HeaderMap::new()).is_none());
    }
}
