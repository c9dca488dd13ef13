//! The key of a certificate, which may sign the certificate's revocation (RFC 8555 section 7.6).

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use super::jwk::Jwk;
use crate::acme::error::Error;

/// The private key of a certificate: P-256, P-384 or RSA.
pub struct CertificateKey(Kind);

enum Kind {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(rsa::KeyPair),
}

impl CertificateKey {
    /// Reads the first key of a PEM text, which must be PKCS#8.
    pub fn from_pkcs8_pem(pem: &[u8]) -> Result<Self, Error> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(Error::CertificateKeyPem)?;
        let der = der.secret_pkcs8_der();
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(Self(Kind::P256(pair)));
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der) {
            return Ok(Self(Kind::P384(pair)));
        }
        match RsaKeyPair::from_pkcs8(der) {
            Ok(pair) => Ok(Self(Kind::Rsa(pair))),
            Err(source) => Err(Error::CertificateKey(source)),
        }
    }

    /// Returns the name of its signature algorithm (RFC 7518 section 3.1).
    pub(in crate::acme) fn algorithm(&self) -> &'static str {
        match self.0 {
            Kind::P256(_) => "ES256",
            Kind::P384(_) => "ES384",
            Kind::Rsa(_) => "RS256",
        }
    }

    /// Returns the public key as JSON.
    pub(in crate::acme) fn jwk(&self) -> Jwk {
        match &self.0 {
            Kind::P256(pair) => Jwk::ec("P-256", pair.public_key().as_ref()),
            Kind::P384(pair) => Jwk::ec("P-384", pair.public_key().as_ref()),
            Kind::Rsa(pair) => {
                let public = pair.public_key();
                Jwk::rsa(
                    public.modulus().big_endian_without_leading_zero(),
                    public.exponent().big_endian_without_leading_zero(),
                )
            }
        }
    }

    pub(in crate::acme) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        match &self.0 {
            Kind::P256(pair) | Kind::P384(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| Error::Crypto)?;
                Ok(signature.as_ref().to_vec())
            }
            Kind::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| Error::Crypto)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for CertificateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateKey").finish_non_exhaustive()
    }
}
