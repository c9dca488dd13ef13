//! User name and password of an Authorization field (RFC 7617).

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::proxy::request::single_field;

/// Maximum length of name and password together, in bytes.
const MAX_BYTES: usize = 1024;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A user name and a password, which are never printed.
pub(super) struct Credentials {
    bytes: Vec<u8>,
    colon: usize,
}

impl Credentials {
    /// Reads the credentials of a request. `None` unless there is exactly one valid Authorization field.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let field = single_field(headers, &AUTHORIZATION)?;
        let (scheme, token) = field.as_bytes().split_at_checked(5)?;
        let token = token.strip_prefix(b" ")?.trim_ascii();
        if !scheme.eq_ignore_ascii_case(b"basic") || token.len() > MAX_BYTES / 3 * 4 {
            return None;
        }
        let bytes = BASE64.decode(token).ok()?;
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        Some(Self { bytes, colon })
    }

    /// User name: the bytes before the first colon.
    pub(super) fn user(&self) -> &[u8] {
        &self.bytes[..self.colon]
    }

    /// Password: the bytes after the first colon.
    pub(super) fn password(&self) -> &[u8] {
        &self.bytes[self.colon + 1..]
    }

    /// Name, colon and password. No two pairs share these bytes, since a name has no colon.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
pub(super) mod tests {
    use http::HeaderValue;

    use super::*;

    /// Header fields with these credentials.
    pub(crate) fn basic(credentials: &str) -> HeaderMap {
        let value = format!("Basic {}", BASE64.encode(credentials));
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(value).unwrap())])
    }

    #[test]
    fn the_first_colon_separates_name_and_password() {
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
    fn the_scheme_ignores_case_and_padding_is_optional() {
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
    fn malformed_repeated_or_huge_credentials_are_none() {
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
