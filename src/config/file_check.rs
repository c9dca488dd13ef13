//! Whether the files that a configuration names can be used.

use std::path::PathBuf;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::certs::TlsFiles;
use crate::upstream::{Protocol, TlsError};

use super::settings::Config;
use super::site::{SiteAction, SiteConfig};

/// Why a file that the configuration names cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there, not readable, or holds no PEM section of the wanted kind.
    #[error("{} is no readable PEM file: {}", path.display(), pem_reason(source))]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// TLS towards a site's backends cannot be set up.
    #[error("{error}{}", .error.reason())]
    Upstream {
        /// What is wrong.
        error: TlsError,
    },
    /// Certificate and key are readable but do not belong together.
    #[error("{} and {} do not fit together: {source}", files.cert.display(), files.key.display())]
    Pair {
        /// The two files.
        files: TlsFiles,
        /// What the TLS library says.
        #[source]
        source: rustls::Error,
    },
}

impl Config {
    /// Reads all files that the configuration names and returns what is wrong with them. Blocks.
    #[must_use]
    pub fn check_files(&self) -> Vec<FileError> {
        let roots = self.issuers.iter().filter_map(|issuer| issuer.root.clone());
        let mut errors: Vec<_> = roots
            .filter_map(|root| read_certificates(root).err())
            .collect();
        for files in self.sites.iter().filter_map(|site| site.tls.as_ref()) {
            let cert = read_certificates(files.cert.clone());
            let key = read_key(files.key.clone());
            match (cert, key) {
                (Ok(chain), Ok(key)) => errors.extend(check_pair(files, chain, key).err()),
                (cert, key) => errors.extend(cert.err().into_iter().chain(key.err())),
            }
        }
        errors.extend(self.sites.iter().filter_map(check_upstream));
        errors
    }
}

fn check_upstream(site: &SiteConfig) -> Option<FileError> {
    let SiteAction::Upstream { addresses, options } = &site.action else {
        return None;
    };
    let has_tls = addresses
        .iter()
        .any(|address| address.protocol() == Protocol::Https);
    let checked = has_tls.then(|| options.tls.check())?;
    checked.err().map(|error| FileError::Upstream { error })
}

fn read_certificates(path: PathBuf) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let chain = CertificateDer::pem_file_iter(&path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| match chain.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(chain),
        });
    chain.map_err(|source| FileError::Pem { path, source })
}

fn read_key(path: PathBuf) -> Result<PrivateKeyDer<'static>, FileError> {
    PrivateKeyDer::from_pem_file(&path).map_err(|source| FileError::Pem { path, source })
}

fn check_pair(
    files: &TlsFiles,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(), FileError> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain, key, &provider) {
        Ok(_) => Ok(()),
        Err(source) => Err(FileError::Pair {
            files: files.clone(),
            source,
        }),
    }
}

/// The library's own words quote the file; these do not, since it may be a key.
fn pem_reason(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it holds no section of the wanted kind".to_owned(),
        _ => "its PEM sections are damaged".to_owned(),
    }
}
