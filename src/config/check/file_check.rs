//! Whether the files that a configuration names can be used.

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

/// Why a file that the configuration names cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there, not readable, or holds no PEM section of the wanted kind.
    #[error("{} is not a readable PEM file: {}", path.display(), pem_reason(source))]
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
    /// The command of `on-cert` cannot be run.
    #[error("{} cannot be run; make it an executable file", path.display())]
    Hook {
        /// The file.
        path: PathBuf,
    },
    /// A site's page cannot be read.
    #[error("the page {} cannot be read: {source}", path.display())]
    Page {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The folder that a site serves is not there, or not readable.
    #[error("{} is not a readable folder: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
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
    /// It holds no CAs that could verify clients.
    #[error("{0}")]
    ClientAuth(#[from] ClientAuthError),
}

impl Config {
    /// Reads all files that the configuration names, and the system's roots where it needs them, and returns what is wrong with
    /// them. Blocks.
    #[must_use]
    pub fn check_files(&self, system: &SystemRoots) -> Vec<FileError> {
        let roots = self.issuers.iter().filter_map(|issuer| issuer.root.clone());
        let mut errors: Vec<_> = roots
            .filter_map(|root| read_certificates(root).err())
            .collect();
        errors.extend(self.on_cert.as_deref().and_then(check_hook));
        let pages = self.sites.iter().flat_map(|site| site.features.files());
        errors.extend(pages.filter_map(|page| read_page(page).err()));
        let client_roots = self
            .sites
            .iter()
            .filter_map(|site| site.client_auth.as_ref());
        errors.extend(client_roots.filter_map(|auth| ClientAuth::load(auth).err().map(Into::into)));
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
        // What stands at the top of the file is each site's, and is told of once.
        let mut told = HashSet::new();
        errors.retain(|error| told.insert(error.to_string()));
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
    let chain = CertificateDer::pem_file_iter(&path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| {
            if chain.is_empty() {
                return Err(pem::Error::NoItemsFound);
            }
            Ok(chain)
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
        pem::Error::NoItemsFound => "it has no PEM section of the expected kind".to_owned(),
        _ => "its PEM sections are damaged".to_owned(),
    }
}
