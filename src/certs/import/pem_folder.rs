//! PEM files of any program: certbot, acme.sh, lego, dehydrated, Synology, Apache, HAProxy. Certificates and keys belong
//! together by their public keys, whatever the names of the files.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::Error;
use super::material::{Attempt, Material, entries, read};
use crate::certs::certificate::{Certificate, CertificateError, PrivateKey};
use crate::pem;

/// Depth of the folders below the given one that are searched, as in `live/NAME` and `archive/NAME` of certbot.
const DEPTH: usize = 2;

/// Most files that are read.
const FILES: usize = 10_000;

/// Largest file in a folder that is read, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// Endings of files whose problems are reported. Others may hold anything.
const ENDINGS: [&str; 6] = ["pem", "crt", "cer", "cert", "key", "chain"];

/// Reads a folder with those below it, or one file with the help of the files beside it. Returns `None` if there is no
/// certificate.
pub(super) fn read_pem(path: &Path) -> Option<Vec<Attempt>> {
    let attempts = if path.is_dir() {
        PemFiles::below(path).attempts(|_| true, true)
    } else {
        PemFiles::beside(path).attempts(|file| file.path == path, false)
    };
    (!attempts.is_empty()).then_some(attempts)
}

/// Certificates and keys of one file.
struct PemFile {
    path: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
    keys: Vec<PrivateKey>,
    /// Reason why its certificates cannot be read.
    error: Option<Error>,
    /// Reason why its key cannot be used.
    key_error: Option<CertificateError>,
}

impl PemFile {
    /// Reads a file. Returns `None` if it has nothing of interest.
    fn read(path: PathBuf, is_wanted: bool) -> Option<Self> {
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

    fn unreadable(&self, source: CertificateError) -> Error {
        Error::Certificate {
            origin: self.path.display().to_string(),
            source,
        }
    }
}

/// All files that may have a part of the same certificate.
struct PemFiles(Vec<PemFile>);

impl PemFiles {
    fn below(folder: &Path) -> Self {
        let mut paths = Vec::new();
        list(folder, DEPTH, &mut paths);
        let files = paths.into_iter();
        Self(
            files
                .filter_map(|path| PemFile::read(path, false))
                .collect(),
        )
    }

    fn beside(path: &Path) -> Self {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let mut others = entries(folder.unwrap_or_else(|| Path::new(".")));
        others.truncate(FILES);
        others.retain(|other| other.file_name() != path.file_name() && !other.is_dir());
        let mut files: Vec<_> = PemFile::read(path.to_owned(), true).into_iter().collect();
        files.extend(
            others
                .into_iter()
                .filter_map(|path| PemFile::read(path, false)),
        );
        Self(files)
    }

    /// Builds the certificates of the wanted files. In one file, also the certificate of a CA is an attempt.
    fn attempts(mut self, is_wanted: impl Fn(&PemFile) -> bool, is_folder: bool) -> Vec<Attempt> {
        let wanted = self.0.iter_mut().filter(|file| is_wanted(file));
        let mut attempts: Vec<_> = wanted
            .filter_map(|file| file.error.take().map(Err))
            .collect();
        for file in self.0.iter().filter(|file| is_wanted(file)) {
            let before = attempts.len();
            for (index, leaf) in file.certificates.iter().enumerate() {
                if is_folder && is_authority(leaf) {
                    continue;
                }
                match self.key_of(leaf) {
                    Some(key) => attempts.push(self.build(file, index, key)),
                    None if is_folder => attempts.push(Err(self.missing_key(file))),
                    None => {}
                }
            }
            if attempts.len() == before && !is_folder && !file.certificates.is_empty() {
                attempts.push(Err(self.missing_key(file)));
            }
        }
        attempts
    }

    fn key_of(&self, leaf: &CertificateDer<'_>) -> Option<&PrivateKey> {
        let mut keys = self.0.iter().flat_map(|file| &file.keys);
        keys.find(|key| key.is_of(leaf))
    }

    fn build(&self, file: &PemFile, index: usize, key: &PrivateKey) -> Attempt {
        let origin = file.path.display().to_string();
        let mut own = file.certificates.clone();
        let leaf = own.remove(index);
        // Those of the same folder come first, because a folder may have several generations.
        let is_near = |other: &&PemFile| other.path.parent() == file.path.parent();
        let near = self.0.iter().filter(|other| is_near(other));
        let far = self.0.iter().filter(|other| !is_near(other));
        let others = near.chain(far).flat_map(|other| other.certificates.clone());
        let others: Vec<_> = others.collect();
        match Certificate::build(leaf, own, &others, key) {
            Ok((certificate, flaws)) => Ok(Material {
                certificate,
                flaws,
                key: key.to_pem(),
                origin,
                in_file: file.certificates.len(),
            }),
            Err(source) => Err(Error::Certificate { origin, source }),
        }
    }

    /// Returns why the certificate of a file has no key.
    fn missing_key(&self, file: &PemFile) -> Error {
        let near = || {
            let all = self.0.iter();
            all.filter(|other| other.path.parent() == file.path.parent())
        };
        let mut problems = near().filter_map(|other| Some((other, other.key_error.as_ref()?)));
        if let Some((other, problem)) = problems.next() {
            return Error::Key {
                path: other.path.clone(),
                reason: problem.to_string(),
            };
        }
        if near().any(|other| !other.keys.is_empty()) {
            return file.unreadable(CertificateError::KeyMismatch);
        }
        Error::NoKey(file.path.clone())
    }
}

fn list(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) {
    for entry in entries(folder) {
        if paths.len() >= FILES {
            return;
        }
        if !entry.is_dir() {
            paths.push(entry);
        } else if depth > 0 {
            list(&entry, depth - 1, paths);
        }
    }
}

/// Whether this is the certificate of a CA, not of a host.
fn is_authority(der: &CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return false;
    };
    let has_names = matches!(certificate.subject_alternative_name(), Ok(Some(_)));
    let is_ca = matches!(certificate.basic_constraints(), Ok(Some(it)) if it.value.ca);
    // Roots of version 1 do not say that they are.
    let is_root = certificate.issuer() == certificate.subject();
    !has_names && (is_ca || is_root)
}
