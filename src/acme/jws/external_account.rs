//! The binding of a new account to an existing one of the operator at the CA (RFC 8555 section 7.3.4).

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use url::Url;

use super::account_key::AccountKey;
use super::jws::{Header, Jws};
use crate::acme::error::Error;
use crate::acme::resource::{Problem, ProblemKind};
use crate::printable::printable;

/// CAs show their keys with or without padding.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The fix if the CA wants an address.
const CONTACT_FIX: &str = "set `email` at the top of the Proxyfile or of the issuer, or --email, to an address that can receive mail";

/// The credentials with which a CA binds new accounts. Their `Debug` hides the key.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    key_id: String,
    hmac_key: Vec<u8>,
}

impl ExternalAccount {
    /// Takes the credentials as the CA shows them. Returns `None` if the key is not base64url.
    #[must_use]
    pub fn new(key_id: String, hmac_key: &str) -> Option<Self> {
        let hmac_key = BASE64URL.decode(hmac_key.trim()).ok()?;
        let is_complete = !key_id.is_empty() && !hmac_key.is_empty();
        is_complete.then_some(Self { key_id, hmac_key })
    }

    /// Returns the identifier of the credentials.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Signs `key` with the credentials, for a request to `new_account`.
    pub(in crate::acme) fn bind(&self, key: &AccountKey, new_account: &Url) -> Result<Jws, Error> {
        let header = Header {
            alg: "HS256",
            jwk: None,
            kid: Some(&self.key_id),
            nonce: None,
            url: new_account.as_str(),
        };
        let payload = serde_json::to_vec(&key.jwk()).expect("texts always become JSON");
        Jws::new(&header, &payload, |message| {
            let secret = hmac::Key::new(hmac::HMAC_SHA256, &self.hmac_key);
            Ok(hmac::sign(&secret, message).as_ref().to_vec())
        })
    }

    /// Adds to the refusal of a bound account what to correct, if the credentials are to blame.
    pub(crate) fn explain(&self, refusal: Error) -> Error {
        let is_of_binding = |problem: &&Problem| {
            matches!(
                problem.kind,
                ProblemKind::Unauthorized | ProblemKind::Malformed
            )
        };
        match refusal
            .problem()
            .filter(is_of_binding)
            .map(Problem::details)
        {
            Some(said) if is_about_contact(&said) => Error::Binding {
                fix: CONTACT_FIX.to_owned(),
                refusal: Box::new(refusal),
            },
            Some(said) => Error::Binding {
                fix: self.fix(&said),
                refusal: Box::new(refusal),
            },
            None => refusal,
        }
    }

    /// There is no problem type for a wrong identifier or a wrong key. Most CAs name the wrong one in the text.
    fn fix(&self, said: &str) -> String {
        let said = said.to_lowercase();
        let names = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let key_id = printable(&self.key_id, 100);
        match (
            names(&["kid", "key id", "key-id", "keyid", "key identifier"]),
            names(&["hmac", "mac ", "verif", "signature", "cryptographic"]),
        ) {
            (true, false) => format!(
                "correct `key-id` in `eab` of the issuer, or --eab-key-id: the CA does not know `{key_id}`"
            ),
            (false, true) => format!(
                "correct `hmac-key` in `eab` of the issuer, or --eab-hmac-key: it does not belong to `{key_id}`"
            ),
            _ => format!(
                "correct `key-id`, which is `{key_id}`, and `hmac-key` in `eab` of the issuer, or --eab-key-id and --eab-hmac-key"
            ),
        }
    }
}

/// `true` if the CA complains about the contact and not about the credentials. Some CAs say so without the type for it.
fn is_about_contact(said: &str) -> bool {
    let said = said.to_lowercase();
    let words = ["e-mail", "email", "mailto", "contact"];
    words.iter().any(|word| said.contains(word))
}

impl fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccount")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn decode(text: &Value) -> Vec<u8> {
        BASE64URL.decode(text.as_str().unwrap()).unwrap()
    }

    #[test]
    fn a_binding_is_signed_with_the_shared_key_over_the_public_one() {
        let secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
        let external = ExternalAccount::new("kid-1".to_owned(), secret).unwrap();
        let key = AccountKey::generate().unwrap();
        let url = Url::parse("https://ca.test/new-account").unwrap();

        let jws = serde_json::to_value(external.bind(&key, &url).unwrap()).unwrap();

        let header: Value = serde_json::from_slice(&decode(&jws["protected"])).unwrap();
        let expected = serde_json::json!({ "alg": "HS256", "kid": "kid-1", "url": url.as_str() });
        assert_eq!(header, expected);
        let payload: Value = serde_json::from_slice(&decode(&jws["payload"])).unwrap();
        assert_eq!(payload, serde_json::to_value(key.jwk()).unwrap());
        let message = format!(
            "{}.{}",
            jws["protected"].as_str().unwrap(),
            jws["payload"].as_str().unwrap()
        );
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &BASE64URL.decode(secret).unwrap());
        hmac::verify(&secret, message.as_bytes(), &decode(&jws["signature"])).unwrap();
    }

    #[test]
    fn the_wrong_credential_is_named_if_the_ca_tells_it() {
        let external = ExternalAccount::new("kid-1".to_owned(), "c2VjcmV0MQ").unwrap();
        for (said, fix) in [
            ("the key id is unknown", "`key-id` in"),
            (
                "the field 'kid' references a key that is not known",
                "`key-id` in",
            ),
            ("Unknown key identifier", "`key-id` in"),
            ("Invalid MAC on JWS request", "`hmac-key` in"),
            ("JWS verification error", "`hmac-key` in"),
            (
                "the credentials were used already",
                "`key-id`, which is `kid-1`, and `hmac-key`",
            ),
        ] {
            let told = external.fix(said);
            assert!(
                told.starts_with(&format!("correct {fix}")),
                "{said}: {told}"
            );
        }
    }

    #[test]
    fn a_missing_address_is_not_blamed_on_the_credentials() {
        let external = ExternalAccount::new("kid-1".to_owned(), "c2VjcmV0MQ").unwrap();
        for detail in [
            "Email address is required",
            "contact field missing",
            "no e-mail given",
        ] {
            let json =
                format!(r#"{{"type":"urn:ietf:params:acme:error:malformed","detail":"{detail}"}}"#);
            let refusal = Error::Refused {
                step: crate::acme::error::Step::NewAccount,
                status: http::StatusCode::BAD_REQUEST,
                problem: Problem::parse(json.as_bytes()).unwrap(),
                retry_after: None,
            };
            let sentence = external.explain(refusal).sentence();
            assert!(sentence.contains("; set `email` at the top"), "{sentence}");
            assert!(!sentence.contains("key-id"), "{sentence}");
        }
    }

    #[test]
    fn a_key_is_base64url_with_or_without_padding_and_is_not_shown() {
        for (text, is_key) in [
            ("c2VjcmV0MQ", true),
            ("c2VjcmV0MQ==", true),
            (" c2VjcmV0MQ\n", true),
            ("", false),
            ("not base64", false),
        ] {
            let external = ExternalAccount::new("kid".to_owned(), text);
            assert_eq!(external.is_some(), is_key, "{text:?}");
        }
        assert!(ExternalAccount::new(String::new(), "c2VjcmV0MQ").is_none());
        let shown = format!("{:?}", ExternalAccount::new("kid".to_owned(), "c2VjcmV0MQ"));
        assert_eq!(shown, r#"Some(ExternalAccount { key_id: "kid", .. })"#);
    }
}
