//! The certificates and keys of one file.

use std::fs;
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;

use super::error::Error;
use super::material::read;
use crate::certs::certificate::{CertificateError, PrivateKey};
use crate::pem;

/// Largest file in a folder that is read, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// Endings of files whose problems are reported. Others may hold anything.
const ENDINGS: [&str; 6] = ["pem", "crt", "cer", "cert", "key", "chain"];

/// Certificates and keys of one file.
pub(super) struct PemFile {
    pub(super) path: PathBuf,
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) keys: Vec<PrivateKey>,
    /// Reason why its certificates cannot be read.
    pub(super) error: Option<Error>,
    /// Reason why its key cannot be used.
    pub(super) key_error: Option<CertificateError>,
}

impl PemFile {
    /// Reads a file. Returns `None` if it has nothing of interest.
    pub(super) fn read(path: PathBuf, is_wanted: bool) -> Option<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let is_reported = is_wanted || ending.is_some_and(|ending| ENDINGS.contains(&ending));
        let mut file = Self {
            path,
            certificates: Vec::new(),
            keys: Vec::new(),
            error: None,
            key_error: None,
        };
        let bytes = match file.bytes(is_wanted) {
            Ok(bytes) => bytes,
            Err(error) => {
                file.error = Some(error);
                return is_reported.then_some(file);
            }
        };
        match pem::certificates(&bytes) {
            Ok(certificates) => file.certificates = certificates,
            Err(pem::Error::NoCertificate) => {}
            Err(error) => file.error = Some(file.unreadable(error.into())),
        }
        match pem::private_keys(&bytes) {
            Ok(keys) => {
                for key in keys {
                    match PrivateKey::new(key) {
                        Ok(key) => file.keys.push(key),
                        Err(error) => file.key_error = Some(error),
                    }
                }
            }
            Err(pem::Error::NoKey | pem::Error::Der | pem::Error::Pkcs12) => {}
            Err(error) => file.key_error = Some(error.into()),
        }
        let has_content = !file.certificates.is_empty() || !file.keys.is_empty();
        let has_problem = file.error.is_some() || file.key_error.is_some();
        (has_content || (has_problem && is_reported)).then_some(file)
    }

    fn bytes(&self, is_wanted: bool) -> Result<Vec<u8>, Error> {
        let metadata = fs::metadata(&self.path).map_err(|source| Error::Read {
            path: self.path.clone(),
            source,
        })?;
        if metadata.is_file() && (is_wanted || metadata.len() <= FILE_LIMIT) {
            read(&self.path)
        } else {
            Ok(Vec::new())
        }
    }

    /// Builds an error about its certificates.
    pub(super) fn unreadable(&self, source: CertificateError) -> Error {
        Error::Certificate {
            origin: self.path.display().to_string(),
            source,
        }
    }
}
