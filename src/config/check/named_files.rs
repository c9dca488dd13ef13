//! Checks that the files of a configuration can be used.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::certs::{Certificate, CertificateError, TlsFiles};
use crate::config::model::{Config, SiteAction};
use crate::pem;
use crate::tls::{ClientAuth, ClientAuthError};
use crate::upstream::{Address, Options, Protocol, SystemRoots, TlsError};

/// Reason why a file of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A PEM file is missing, unreadable, or without a section of the expected kind.
    #[error("{} is not a readable PEM file: {source}", path.display())]
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
        /// The reason.
        #[source]
        source: CertificateError,
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
        let mut errors: Vec<_> = roots.filter_map(|root| check_root(&root)).collect();
        errors.extend(self.on_cert.as_deref().and_then(check_hook));
        let pages = self.sites.iter().flat_map(|site| site.features.files());
        errors.extend(pages.filter_map(|page| read_page(page).err()));
        let client_auths = self
            .sites
            .iter()
            .filter_map(|site| site.client_auth.as_ref());
        errors.extend(client_auths.filter_map(|auth| ClientAuth::load(auth).err().map(Into::into)));
        for files in self.sites.iter().filter_map(|site| site.tls.as_ref()) {
            errors.extend(check_pair(files));
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

fn check_root(path: &Path) -> Option<FileError> {
    let checked = pem::read_certificates(path).err()?;
    Some(unreadable(path, checked))
}

fn unreadable(path: &Path, source: pem::Error) -> FileError {
    FileError::Pem {
        path: path.to_owned(),
        source,
    }
}

fn check_pair(files: &TlsFiles) -> Vec<FileError> {
    let read = |path: &PathBuf| {
        let text = std::fs::read(path);
        text.map_err(|source| unreadable(path, source.into()))
    };
    let (chain, key) = match (read(&files.cert), read(&files.key)) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => return chain.err().into_iter().chain(key.err()).collect(),
    };
    let certificates = pem::certificates(&chain).err();
    let certificates = certificates.map(|error| unreadable(&files.cert, error));
    let keys = pem::private_keys(&key).err();
    let keys = keys.map(|error| unreadable(&files.key, error));
    let damaged: Vec<_> = certificates.into_iter().chain(keys).collect();
    if !damaged.is_empty() {
        return damaged;
    }
    let pair = Certificate::read_pair(&chain, &key).err();
    let pair = pair.map(|source| FileError::Pair {
        files: files.clone(),
        source,
    });
    pair.into_iter().collect()
}
