//! The root certificate of the internal CA in storage.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::outcome::Error;
use crate::printable::printable;

/// Most characters of a subject that are shown.
const SHOWN: usize = 200;

/// A root certificate.
#[derive(Debug)]
pub(super) struct Root {
    /// Path of its file.
    pub(super) path: PathBuf,
    /// Content of its file.
    pub(super) pem: Vec<u8>,
    subject: String,
    fingerprint: String,
    not_after: String,
}

impl Root {
    /// Reads the root certificate in the data directory. `sudo` is the command to suggest if only root can read it.
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
            subject: printable(&certificate.subject().to_string(), SHOWN),
            fingerprint: fingerprint
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            not_after: certificate.validity().not_after.to_string(),
            pem,
        })
    }

    /// Returns a name that no other certificate in a store has.
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
