//! The key of a certificate, which may sign the certificate's revocation (RFC 8555 section 7.6).

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;

use super::jwk::Jwk;
use crate::acme::error::Error;
use crate::pem;

/// The private key of a certificate: P-256, P-384 or RSA.
pub struct CertificateKey(Kind);

enum Kind {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(rsa::KeyPair),
}

impl CertificateKey {
    /// Reads the first key of a PEM text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let key = pem::private_key(pem).map_err(Error::CertificateKeyPem)?;
        let der = key.secret_der();
        let ec = |algorithm| match &key {
            PrivateKeyDer::Sec1(_) => EcdsaKeyPair::from_private_key_der(algorithm, der),
            _ => EcdsaKeyPair::from_pkcs8(algorithm, der),
        };
        if let Ok(pair) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING) {
            return Ok(Self(Kind::P256(pair)));
        }
        if let Ok(pair) = ec(&ECDSA_P384_SHA384_FIXED_SIGNING) {
            return Ok(Self(Kind::P384(pair)));
        }
        let rsa = match &key {
            PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(der),
            _ => RsaKeyPair::from_pkcs8(der),
        };
        rsa.map(|pair| Self(Kind::Rsa(pair)))
            .map_err(Error::CertificateKey)
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
