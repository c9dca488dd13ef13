//! The root of the internal CA, as it lies in storage.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::outcome::Error;

/// A root that can be put into a store.
#[derive(Debug)]
pub(super) struct Root {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its text.
    pub(super) pem: Vec<u8>,
    subject: String,
    fingerprint: String,
    not_after: String,
}

impl Root {
    /// Reads the root of the data directory; `sudo` is the command that may when this one may not.
    pub(super) fn read(data: &Path, sudo: &str) -> Result<Self, Error> {
        let path = data.join("internal-ca").join("root.pem");
        let pem = match std::fs::read(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoRoot(data.to_owned()));
            }
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                let sudo = sudo.to_owned();
                return Err(Error::NotAllowed { path, sudo, source });
            }
            Err(source) => return Err(Error::Read { path, source }),
        };
        Self::parse(&path, pem).ok_or(Error::Damaged(path))
    }

    fn parse(path: &Path, pem: Vec<u8>) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(&pem).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let fingerprint = digest(&SHA256, &der);
        Some(Self {
            path: path.to_owned(),
            subject: certificate.subject().to_string(),
            fingerprint: fingerprint
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            not_after: certificate.validity().not_after.to_string(),
            pem,
        })
    }

    /// A name that no other root has in a store.
    pub(super) fn name(&self) -> String {
        format!("proxy-internal-ca-{}", &self.fingerprint[..8])
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            subject,
            fingerprint,
            not_after,
            ..
        } = self;
        let path = path.display();
        write!(
            f,
            "{subject}, SHA-256 {fingerprint}, until {not_after}, in {path}"
        )
    }
}
