//! The account key and the signed requests: flattened JWS, with ES256 by an account (RFC 8555 section 6.2, RFC 7515, RFC 7518
//! section 3.4), and the key's thumbprint (RFC 7638).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use url::Url;

use super::certificate_key::CertificateKey;
use super::error::Error;
use super::nonce::Nonce;

/// The P-256 key that is the account: whoever has it speaks for the account.
pub struct AccountKey {
    pair: EcdsaKeyPair,
    thumbprint: String,
}

impl AccountKey {
    /// Makes a new key. Keep it before the first request is signed with it: a lost key is a lost account.
    pub fn generate() -> Result<Self, Error> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map(Self::new)
            .map_err(|_| Error::Crypto)
    }

    /// Reads a key from PKCS#8 PEM.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, Error> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(Error::KeyPem)?;
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der())
            .map(Self::new)
            .map_err(Error::Key)
    }

    /// The key as PKCS#8 PEM.
    pub fn to_pkcs8_pem(&self) -> Result<String, Error> {
        let der = self.pair.to_pkcs8v1().map_err(|_| Error::Crypto)?;
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        let mut rest = STANDARD.encode(der.as_ref());
        while !rest.is_empty() {
            let tail = rest.split_off(rest.len().min(64));
            pem.push_str(&rest);
            pem.push('\n');
            rest = tail;
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(pem)
    }

    /// The base64url SHA-256 of the public key (RFC 7638 section 3), which key authorizations carry.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    fn new(pair: EcdsaKeyPair) -> Self {
        let jwk = Jwk::ec("P-256", pair.public_key().as_ref());
        let canonical = serde_json::to_vec(&jwk).expect("four texts always become JSON");
        let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &canonical));
        Self { pair, thumbprint }
    }

    /// The public key as the CA reads it.
    pub(super) fn jwk(&self) -> Jwk {
        Jwk::ec("P-256", self.pair.public_key().as_ref())
    }

    /// Signs as r || s, both 32 bytes (RFC 7518 section 3.4).
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match self.pair.sign(&SystemRandom::new(), message) {
            Ok(signature) => Ok(signature.as_ref().to_vec()),
            Err(_) => Err(Error::Crypto),
        }
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountKey").finish_non_exhaustive()
    }
}

/// A public key. The fields stand in the order of RFC 7638 section 3.3, and serde keeps it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Jwk {
    /// A point on a curve.
    Ec {
        crv: &'static str,
        kty: &'static str,
        x: String,
        y: String,
    },
    /// A modulus with its exponent.
    Rsa {
        e: String,
        kty: &'static str,
        n: String,
    },
}

impl Jwk {
    /// The key of an uncompressed point.
    pub(super) fn ec(crv: &'static str, point: &[u8]) -> Self {
        let coordinates = point.get(1..).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        Self::Ec {
            crv,
            kty: "EC",
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        }
    }

    /// The key of big-endian numbers without leading zeros.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        Self::Rsa {
            e: URL_SAFE_NO_PAD.encode(exponent),
            kty: "RSA",
            n: URL_SAFE_NO_PAD.encode(modulus),
        }
    }
}

/// Who signs a request: a key that introduces itself, or the key of an account that the CA knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signer<'a> {
    key: SigningKey<'a>,
    account: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
enum SigningKey<'a> {
    Account(&'a AccountKey),
    Certificate(&'a CertificateKey),
}

impl<'a> Signer<'a> {
    /// Signs with the public key in the header, as only new-account does.
    pub(super) fn by_key(key: &'a AccountKey) -> Self {
        Self {
            key: SigningKey::Account(key),
            account: None,
        }
    }

    /// Signs with a certificate's own key, as only a revocation may (RFC 8555 section 7.6).
    pub(super) fn by_certificate(key: &'a CertificateKey) -> Self {
        Self {
            key: SigningKey::Certificate(key),
            account: None,
        }
    }

    /// Signs with the account's URL in the header, exactly as the CA gave it.
    pub(super) fn by_account(key: &'a AccountKey, account: &'a str) -> Self {
        Self {
            key: SigningKey::Account(key),
            account: Some(account),
        }
    }

    /// The body of one request (RFC 8555 section 6.2): bound to its URL and, by the nonce, to one use.
    pub(super) fn sign(&self, url: &Url, nonce: &Nonce, payload: &[u8]) -> Result<Vec<u8>, Error> {
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

/// The protected header of a request, or of a JWS within one, which has no nonce.
#[derive(Serialize)]
pub(super) struct Header<'a> {
    pub(super) alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jwk: Option<Jwk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nonce: Option<&'a str>,
    pub(super) url: &'a str,
}

/// A flattened JWS (RFC 7515 section 7.2.2).
#[derive(Serialize)]
pub(super) struct Jws {
    protected: String,
    payload: String,
    signature: String,
}

impl Jws {
    /// Signs `payload` under `header` with whatever `sign` signs with.
    pub(super) fn new(
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
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    /// The key of RFC 7515 appendix A.3.
    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    const D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

    /// A key whose x starts with a zero byte and whose y ends with one, and its thumbprint by another implementation.
    const ZERO_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgSxAJoYDQV8OVuDSE
pnIwqROacCiCxLEawdHm+medM2+hRANCAAQAUd9DHNN/RPjABtmBCCdfx8FBBa1H
BWK+aKwSB7FxVrgW617axOHRoU5zUawUjm2QvyBx56Pje0d5Op+dTNgA
-----END PRIVATE KEY-----
";
    const ZERO_THUMBPRINT: &str = "oD65k4LRC-aj311A2RjGsok9_V8HhmkBZCKHHlFdgiU";

    fn decode(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    fn rfc_key() -> AccountKey {
        let point = [vec![4], decode(X), decode(Y)].concat();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &decode(D),
            &point,
        );
        AccountKey::new(pair.unwrap())
    }

    fn verify(key: &AccountKey, message: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key().as_ref())
            .verify(message.as_bytes(), signature)
            .is_ok()
    }

    #[test]
    fn signatures_have_the_form_of_rfc_7515_appendix_a_3() {
        let message = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0\
                       dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let published = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let key = rfc_key();
        let ours = key.sign(message.as_bytes()).unwrap();
        assert!(verify(&key, message, &decode(published)));
        assert_eq!(ours.len(), 64);
        assert!(verify(&key, message, &ours));
    }

    #[test]
    fn thumbprints_agree_with_another_implementation() {
        let zero = AccountKey::from_pkcs8_pem(ZERO_KEY).unwrap();
        assert_eq!(
            rfc_key().thumbprint(),
            "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"
        );
        assert_eq!(zero.thumbprint(), ZERO_THUMBPRINT);
    }

    #[test]
    fn a_key_survives_its_pem() {
        let key = AccountKey::generate().unwrap();
        let again = AccountKey::from_pkcs8_pem(&key.to_pkcs8_pem().unwrap()).unwrap();
        assert_eq!(again.thumbprint(), key.thumbprint());
        let zero = AccountKey::from_pkcs8_pem(ZERO_KEY).unwrap();
        assert_eq!(zero.to_pkcs8_pem().unwrap(), ZERO_KEY);
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", rfc_key()), "AccountKey { .. }");
    }

    fn header(body: &[u8]) -> Value {
        let jws: Value = serde_json::from_slice(body).unwrap();
        serde_json::from_slice(&decode(jws["protected"].as_str().unwrap())).unwrap()
    }

    #[test]
    fn the_key_or_the_account_is_named_and_never_both() {
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
