//! Checks that the files of a configuration can be used.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::certs::TlsFiles;
use crate::config::model::{Config, SiteAction};
use crate::tls::{ClientAuth, ClientAuthError};
use crate::upstream::{Address, Options, Protocol, SystemRoots, TlsError};

/// Reason why a file of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A PEM file is missing, unreadable, or without a section of the expected kind.
    #[error("{} is not a readable PEM file: {}", path.display(), pem_reason(source))]
    Pem {
        /// The file.
        path: PathBuf,
        /// Error of the PEM parser.
        #[source]
        source: pem::Error,
    },
    /// TLS to the backends of a site cannot be set up.
    #[error("{error}{}", .error.reason())]
    Upstream {
        /// Error of the TLS settings.
        error: TlsError,
    },
    /// The command of `on-cert` cannot be run.
    #[error("{} is not an executable file; make it executable, or set another command", path.display())]
    Hook {
        /// The file.
        path: PathBuf,
    },
    /// A page cannot be read.
    #[error("the page {} cannot be read: {source}", path.display())]
    Page {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// The folder of a site is missing or unreadable.
    #[error("{} is not a readable folder: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// A certificate and a key do not match.
    #[error("{} and {} do not match: {source}", files.cert.display(), files.key.display())]
    Pair {
        /// The two files.
        files: TlsFiles,
        /// Error of the TLS library.
        #[source]
        source: rustls::Error,
    },
    /// A file has no CA certificates that can verify clients.
    #[error("{0}")]
    ClientAuth(#[from] ClientAuthError),
}

impl Config {
    /// Checks all files of the configuration, and the system's roots if an upstream needs them. Blocks.
    #[must_use]
    pub fn check_files(&self, system: &SystemRoots) -> Vec<FileError> {
        let roots = self.issuers.iter().filter_map(|issuer| issuer.root.clone());
        let mut errors: Vec<_> = roots
            .filter_map(|root| read_certificates(root).err())
            .collect();
        errors.extend(self.on_cert.as_deref().and_then(check_hook));
        let pages = self.sites.iter().flat_map(|site| site.features.files());
        errors.extend(pages.filter_map(|page| read_page(page).err()));
        let client_auths = self
            .sites
            .iter()
            .filter_map(|site| site.client_auth.as_ref());
        errors.extend(client_auths.filter_map(|auth| ClientAuth::load(auth).err().map(Into::into)));
        for files in self.sites.iter().filter_map(|site| site.tls.as_ref()) {
            let cert = read_certificates(files.cert.clone());
            let key = read_key(files.key.clone());
            match (cert, key) {
                (Ok(chain), Ok(key)) => errors.extend(check_pair(files, chain, key).err()),
                (cert, key) => errors.extend(cert.err().into_iter().chain(key.err())),
            }
        }
        for route in self.sites.iter().flat_map(|site| &site.routes) {
            match &route.action {
                SiteAction::Upstream { addresses, options } => {
                    errors.extend(check_upstream(addresses, options, system));
                }
                SiteAction::Files(files) => {
                    errors.extend(std::fs::read_dir(files.root()).err().map(|source| {
                        let path = files.root().to_owned();
                        FileError::Folder { path, source }
                    }));
                }
                SiteAction::Redirect(_) | SiteAction::Respond(_) => {}
            }
        }
        // Sites share the files of the settings at the top of the file, which are reported only once.
        let mut reported = HashSet::new();
        errors.retain(|error| reported.insert(error.to_string()));
        errors
    }
}

fn check_upstream(
    addresses: &[Address],
    options: &Options,
    system: &SystemRoots,
) -> Option<FileError> {
    let has_tls = addresses
        .iter()
        .any(|address| address.protocol() == Protocol::Https);
    let checked = has_tls.then(|| options.tls.check(system))?;
    checked.err().map(|error| FileError::Upstream { error })
}

fn check_hook(path: &Path) -> Option<FileError> {
    let is_executable = std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    (!is_executable).then(|| FileError::Hook {
        path: path.to_owned(),
    })
}

fn read_page(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|source| FileError::Page {
        path: path.to_owned(),
        source,
    })
}

fn read_certificates(path: PathBuf) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let chain = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
    match chain {
        Ok(chain) if Vec::is_empty(&chain) => Err(pem::Error::NoItemsFound),
        chain => chain,
    }
    .map_err(|source| FileError::Pem { path, source })
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
    let pair = CertifiedKey::from_der(chain, key, &provider);
    pair.map(drop).map_err(|source| FileError::Pair {
        files: files.clone(),
        source,
    })
}

/// Describes a PEM error without the parser's message, which quotes the file and thus could show a key.
fn pem_reason(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it has no PEM section of the expected kind".to_owned(),
        _ => "its PEM sections are damaged".to_owned(),
    }
}
