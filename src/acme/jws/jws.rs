//! Signed requests: flattened JWS (RFC 8555 section 6.2, RFC 7515), with the key of an account or of a certificate.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use url::Url;

use super::account_key::AccountKey;
use super::jwk::Jwk;
use super::nonce::Nonce;
use super::revocation_key::CertificateKey;
use crate::acme::error::Error;

/// The signer of a request: a key whose public half is in the header, or the key of an account that the CA knows.
#[derive(Clone, Copy, Debug)]
pub(in crate::acme) struct Signer<'a> {
    key: SigningKey<'a>,
    account: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
enum SigningKey<'a> {
    Account(&'a AccountKey),
    Certificate(&'a CertificateKey),
}

impl<'a> Signer<'a> {
    /// Signs with the public key in the header. Only new-account requests do so.
    pub(in crate::acme) fn by_key(key: &'a AccountKey) -> Self {
        Self {
            key: SigningKey::Account(key),
            account: None,
        }
    }

    /// Signs with the key of a certificate. Only revocations may do so (RFC 8555 section 7.6).
    pub(in crate::acme) fn by_certificate(key: &'a CertificateKey) -> Self {
        Self {
            key: SigningKey::Certificate(key),
            account: None,
        }
    }

    /// Signs with the account's URL in the header, exactly as the CA gave it.
    pub(in crate::acme) fn by_account(key: &'a AccountKey, account: &'a str) -> Self {
        Self {
            key: SigningKey::Account(key),
            account: Some(account),
        }
    }

    /// Returns the body of a request (RFC 8555 section 6.2). It is valid for one URL and, because of the nonce, only once.
    pub(in crate::acme) fn sign(
        &self,
        url: &Url,
        nonce: &Nonce,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let (alg, jwk) = match self.key {
            SigningKey::Account(key) => ("ES256", key.jwk()),
            SigningKey::Certificate(key) => (key.algorithm(), key.jwk()),
        };
        let header = Header {
            alg,
            jwk: self.account.is_none().then_some(jwk),
            kid: self.account,
            nonce: Some(nonce.as_str()),
            url: url.as_str(),
        };
        let jws = Jws::new(&header, payload, |message| match self.key {
            SigningKey::Account(key) => key.sign(message),
            SigningKey::Certificate(key) => key.sign(message),
        })?;
        Ok(serde_json::to_vec(&jws).expect("three texts always become JSON"))
    }
}

/// The protected header of a request. A JWS inside a request has no nonce.
#[derive(Serialize)]
pub(in crate::acme) struct Header<'a> {
    pub(in crate::acme) alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::acme) jwk: Option<Jwk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::acme) kid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::acme) nonce: Option<&'a str>,
    pub(in crate::acme) url: &'a str,
}

/// A flattened JWS (RFC 7515 section 7.2.2).
#[derive(Serialize)]
pub(in crate::acme) struct Jws {
    protected: String,
    payload: String,
    signature: String,
}

impl Jws {
    /// Signs `header` and `payload` with `sign`.
    pub(in crate::acme) fn new(
        header: &Header<'_>,
        payload: &[u8],
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, Error>,
    ) -> Result<Self, Error> {
        let header = serde_json::to_vec(header).expect("texts always become JSON");
        let protected = URL_SAFE_NO_PAD.encode(header);
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let signature = sign(format!("{protected}.{payload}").as_bytes())?;
        Ok(Self {
            signature: URL_SAFE_NO_PAD.encode(signature),
            protected,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::account_key::tests::{X, decode, rfc_key, verify};
    use super::*;

    fn header(body: &[u8]) -> Value {
        let jws: Value = serde_json::from_slice(body).unwrap();
        serde_json::from_slice(&decode(jws["protected"].as_str().unwrap())).unwrap()
    }

    #[test]
    fn the_header_names_either_the_key_or_the_account() {
        let key = rfc_key();
        let url = Url::parse("https://ca.test:443/new-account").unwrap();
        let nonce = Nonce::parse("n1").unwrap();
        let by_key = header(&Signer::by_key(&key).sign(&url, &nonce, b"{}").unwrap());
        let account = "https://CA.test/account/1";
        let by_account = Signer::by_account(&key, account);
        let by_account = header(&by_account.sign(&url, &nonce, b"").unwrap());
        assert_eq!(by_key["jwk"]["x"], X);
        assert_eq!(by_key.get("kid"), None);
        assert_eq!(by_key["url"], "https://ca.test/new-account");
        assert_eq!(by_key["nonce"], "n1");
        assert_eq!(by_account["kid"], account);
        assert_eq!(by_account.get("jwk"), None);
    }

    #[test]
    fn a_request_without_a_body_signs_an_empty_payload() {
        let key = rfc_key();
        let url = Url::parse("https://ca.test/order/1").unwrap();
        let nonce = Nonce::parse("n1").unwrap();
        let body = Signer::by_account(&key, "a")
            .sign(&url, &nonce, b"")
            .unwrap();
        let jws: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(jws["payload"], "");
        let signed = format!("{}.", jws["protected"].as_str().unwrap());
        assert!(verify(
            &key,
            &signed,
            &decode(jws["signature"].as_str().unwrap())
        ));
    }
}
