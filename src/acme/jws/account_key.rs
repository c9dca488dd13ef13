//! The key of an account (RFC 8555 section 6.2), its signatures (RFC 7518 section 3.4) and its thumbprint (RFC 7638).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use super::jwk::Jwk;
use crate::acme::error::Error;

/// The P-256 key of an account. Whoever has the key controls the account.
pub struct AccountKey {
    pair: EcdsaKeyPair,
    thumbprint: String,
}

impl AccountKey {
    /// Generates a key. Store it before its first use: without the key, the account is lost.
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

    /// Returns the key as PKCS#8 PEM.
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

    /// Returns the base64url SHA-256 of the public key (RFC 7638 section 3), which is part of key authorizations.
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

    /// Returns the public key as JSON.
    pub(in crate::acme) fn jwk(&self) -> Jwk {
        Jwk::ec("P-256", self.pair.public_key().as_ref())
    }

    /// Signs as r || s, both 32 bytes (RFC 7518 section 3.4).
    pub(in crate::acme) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
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

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    /// The key of RFC 7515 appendix A.3.
    pub(crate) const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
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

    pub(crate) fn decode(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    pub(crate) fn rfc_key() -> AccountKey {
        let point = [vec![4], decode(X), decode(Y)].concat();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &decode(D),
            &point,
        );
        AccountKey::new(pair.unwrap())
    }

    pub(crate) fn verify(key: &AccountKey, message: &str, signature: &[u8]) -> bool {
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
}
