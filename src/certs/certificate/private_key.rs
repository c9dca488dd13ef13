//! A private key, and the question which certificate is its own.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::SigningKey;

use super::certificate_error::CertificateError;
use super::link::parse;
use crate::pem;

/// A private key that can sign handshakes. `Debug` does not show it.
pub struct PrivateKey {
    der: PrivateKeyDer<'static>,
    signer: Arc<dyn SigningKey>,
    public: SubjectPublicKeyInfoDer<'static>,
}

impl PrivateKey {
    /// Reads a key.
    pub fn new(der: PrivateKeyDer<'static>) -> Result<Self, CertificateError> {
        let signer = any_supported_type(&der).map_err(CertificateError::Key)?;
        let public = signer.public_key().map(SubjectPublicKeyInfoDer::into_owned);
        let public = public.ok_or_else(|| {
            let reason = "it does not show its public key".to_owned();
            CertificateError::Key(rustls::Error::General(reason))
        })?;
        Ok(Self {
            der,
            signer,
            public,
        })
    }

    /// Returns the first of the keys that one of the certificates belongs to.
    pub(super) fn first_for(
        certificates: &[CertificateDer<'_>],
        keys: &[PrivateKeyDer<'static>],
    ) -> Result<Self, CertificateError> {
        let mut first_error = None;
        for der in keys {
            match Self::new(der.clone_key()) {
                Ok(key)
                    if certificates
                        .iter()
                        .any(|certificate| key.is_of(certificate)) =>
                {
                    return Ok(key);
                }
                Ok(_) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        let is_readable = certificates.iter().all(|der| parse(der).is_some());
        Err(first_error.unwrap_or(if is_readable {
            CertificateError::KeyMismatch
        } else {
            CertificateError::X509
        }))
    }

    /// Whether the certificate is for this key.
    #[must_use]
    pub fn is_of(&self, certificate: &CertificateDer<'_>) -> bool {
        parse(certificate).is_some_and(|it| it.public_key().raw == self.public.as_ref())
    }

    /// Returns the public key as it stands in certificates.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        self.public.as_ref()
    }

    /// Writes the key as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::write_private_key(&self.der)
    }

    pub(super) fn signer(&self) -> Arc<dyn SigningKey> {
        Arc::clone(&self.signer)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}
