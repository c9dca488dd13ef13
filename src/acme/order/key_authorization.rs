//! Key authorizations (RFC 8555 section 8.1), and the tokens that they answer.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::acme::jws::AccountKey;

/// The text that proves to the CA that the account's owner controls the name (RFC 8555 section 8.1).
#[derive(Clone, PartialEq, Eq)]
pub struct KeyAuthorization(String);

impl KeyAuthorization {
    /// Builds the answer of `key` to `token`.
    #[must_use]
    pub fn new(token: &str, key: &AccountKey) -> Self {
        Self(format!("{token}.{}", key.thumbprint()))
    }

    /// Returns the text, whose digest tls-alpn-01 and dns-01 publish.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the body of `/.well-known/acme-challenge/TOKEN` (RFC 8555 section 8.3).
    #[must_use]
    pub fn http01_body(&self) -> &str {
        &self.0
    }

    /// Returns the value of the TXT record at `_acme-challenge` (RFC 8555 section 8.4).
    #[must_use]
    pub fn dns01_value(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.0.as_bytes()))
    }
}

impl fmt::Debug for KeyAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyAuthorization").finish_non_exhaustive()
    }
}

/// `true` if a token is base64url (RFC 8555 section 8.3). Anything else could change the meaning of a path.
pub(in crate::acme) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_authorization_is_the_token_and_the_thumbprint_and_is_not_shown() {
        let key = AccountKey::generate().unwrap();
        let authorization = KeyAuthorization::new("token", &key);
        assert_eq!(
            authorization.http01_body(),
            format!("token.{}", key.thumbprint())
        );
        assert_eq!(format!("{authorization:?}"), "KeyAuthorization { .. }");
    }

    #[test]
    fn a_text_record_holds_the_digest() {
        let authorization = KeyAuthorization("token.thumbprint".to_owned());
        let value = authorization.dns01_value();
        assert_eq!(value, "61rBZ_4knHblO0MNoxFsXZ_eTFUHum0B6IVRbhvUn5I");
    }

    #[test]
    fn a_token_cannot_leave_its_folder() {
        assert!(is_token("LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"));
        for text in ["", "../secret", "a/b", "a.b", "a%2f", "a b", "a="] {
            assert!(!is_token(text), "{text:?}");
        }
    }
}
