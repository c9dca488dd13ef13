//! PEM files of any program: certbot, acme.sh, lego, dehydrated, Synology, Apache, HAProxy. Certificates and keys belong
//! together by their public keys, whatever the names of the files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::certificate_index::{CertificateIndex, Facts, Generations, IndexedCertificate};
use super::error::Error;
use super::material::{Attempt, Material, entries};
use super::pem_file::PemFile;
use crate::certs::certificate::{Certificate, CertificateError, PrivateKey};

/// Depth of the folders below the given one that are searched, as in `live/NAME` and `archive/NAME` of certbot.
const DEPTH: usize = 2;

/// Most files that are read. Certbot keeps four for each certificate that it has ever got.
const FILES: usize = 100_000;

/// Reads a folder with those below it, or one file with the help of the files beside it. Returns `None` if there is no
/// certificate.
pub(super) fn read_pem(path: &Path) -> Option<Vec<Attempt>> {
    let attempts = if path.is_dir() {
        PemFiles::below(path, FILES).all()
    } else {
        PemFiles::beside(path).of(path)
    };
    (!attempts.is_empty()).then_some(attempts)
}

/// All files that may have a part of the same certificate.
struct PemFiles {
    files: Vec<PemFile>,
    /// Says that there are more files.
    limit_error: Option<Error>,
}

impl PemFiles {
    fn below(folder: &Path, limit: usize) -> Self {
        let mut paths = Vec::new();
        list(folder, DEPTH, limit, &mut paths);
        let is_limited = paths.len() > limit;
        paths.truncate(limit);
        let files = paths.into_iter();
        Self {
            files: files
                .filter_map(|path| PemFile::read(path, false))
                .collect(),
            limit_error: is_limited.then(|| Error::TooManyFiles {
                path: folder.to_owned(),
                limit,
            }),
        }
    }

    fn beside(path: &Path) -> Self {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let mut others = entries(folder.unwrap_or_else(|| Path::new(".")));
        others.retain(|other| other.file_name() != path.file_name() && !other.is_dir());
        others.truncate(FILES);
        let mut files: Vec<_> = PemFile::read(path.to_owned(), true).into_iter().collect();
        let others = others.into_iter();
        files.extend(others.filter_map(|path| PemFile::read(path, false)));
        Self {
            files,
            limit_error: None,
        }
    }

    /// Builds the certificates of all files.
    fn all(mut self) -> Vec<Attempt> {
        let errors = self.files.iter_mut().filter_map(|file| file.error.take());
        let errors = errors.chain(self.limit_error.take());
        let mut attempts: Vec<_> = errors.map(Err).collect();
        let (index, keys) = (CertificateIndex::new(&self.files), self.keys());
        let latest = latest(&index, &keys);
        for found in &index.certificates {
            let Some(facts) = &found.facts else {
                let file = &self.files[found.file];
                attempts.push(Err(file.unreadable(CertificateError::X509)));
                continue;
            };
            let newest = found.generations().and_then(|it| latest.get(&it).copied());
            let is_former = newest.is_some_and(|newest| facts.not_after < newest);
            if facts.is_authority || is_former {
                continue;
            }
            attempts.push(match key_of(facts, &keys) {
                Some(key) => self.build(&index, found, found.file, key),
                None => Err(self.missing_key(&self.files[found.file])),
            });
        }
        attempts
    }

    /// Builds the certificates of one file, also that of a CA.
    fn of(mut self, path: &Path) -> Vec<Attempt> {
        let Some(number) = self.files.iter().position(|file| file.path == path) else {
            return Vec::new();
        };
        if let Some(error) = self.files[number].error.take() {
            return vec![Err(error)];
        }
        let (index, keys) = (CertificateIndex::new(&self.files), self.keys());
        let wanted = &self.files[number];
        let found = index.certificates.iter();
        let found = found.filter(|found| wanted.certificates.contains(found.der));
        let attempts: Vec<_> = found
            .filter_map(|found| {
                let key = key_of(found.facts.as_ref()?, &keys)?;
                Some(self.build(&index, found, number, key))
            })
            .collect();
        if attempts.is_empty() && !wanted.certificates.is_empty() {
            return vec![Err(self.missing_key(wanted))];
        }
        attempts
    }

    /// Returns all keys by their public keys.
    fn keys(&self) -> HashMap<&[u8], &PrivateKey> {
        let keys = self.files.iter().flat_map(|file| &file.keys);
        keys.map(|key| (key.public_key(), key)).collect()
    }

    /// Builds a certificate of a file with the help of all others.
    fn build(
        &self,
        index: &CertificateIndex<'_>,
        found: &IndexedCertificate<'_>,
        file: usize,
        key: &PrivateKey,
    ) -> Attempt {
        let file = &self.files[file];
        let mut own = file.certificates.clone();
        if let Some(position) = own.iter().position(|der| der == found.der) {
            own.remove(position);
        }
        let others = index.above(found, file.path.parent());
        match Certificate::build(found.der.clone(), own, &others, key) {
            Ok((certificate, flaws)) => Ok(Material {
                certificate,
                flaws,
                key: key.to_pem(),
                origin: file.path.display().to_string(),
                in_file: file.certificates.len(),
            }),
            Err(source) => Err(file.unreadable(source)),
        }
    }

    /// Returns why the certificate of a file has no key.
    fn missing_key(&self, file: &PemFile) -> Error {
        let near = || {
            let all = self.files.iter();
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

fn key_of<'a>(facts: &Facts, keys: &HashMap<&[u8], &'a PrivateKey>) -> Option<&'a PrivateKey> {
    keys.get(facts.public_key.as_slice()).copied()
}

/// Returns for all generations of certificates the end of the validity of the newest one that has its key.
fn latest(
    index: &CertificateIndex<'_>,
    keys: &HashMap<&[u8], &PrivateKey>,
) -> HashMap<Generations, i64> {
    let mut latest = HashMap::new();
    for found in &index.certificates {
        if let (Some(facts), Some(generations)) = (&found.facts, found.generations())
            && key_of(facts, keys).is_some()
        {
            let newest = latest.entry(generations).or_insert(facts.not_after);
            *newest = facts.not_after.max(*newest);
        }
    }
    latest
}

/// Lists the files of a folder and those below it, up to one more than the limit.
fn list(folder: &Path, depth: usize, limit: usize, paths: &mut Vec<PathBuf>) {
    for entry in entries(folder) {
        if paths.len() > limit {
            return;
        }
        if !entry.is_dir() {
            paths.push(entry);
        } else if depth > 0 {
            list(&entry, depth - 1, limit, paths);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::certificate::TestCa;

    #[test]
    fn a_folder_with_too_many_files_is_read_in_part_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let ca = TestCa::new();
        for number in 0..4 {
            let pem = ca.sign(&[&format!("n{number}.example")], -60..3600);
            std::fs::write(folder.path().join(format!("n{number}.pem")), pem).unwrap();
        }
        for (limit, found, is_told) in [(3, 3, true), (4, 4, false)] {
            let attempts = PemFiles::below(folder.path(), limit).all();
            let errors: Vec<_> = attempts.iter().filter_map(|it| it.as_ref().err()).collect();
            assert_eq!(attempts.len() - errors.len(), found);
            let sentence = "holds more than 3 files, and the others were not read";
            let told = errors
                .iter()
                .any(|error| error.to_string().contains(sentence));
            assert_eq!((told, errors.len()), (is_told, usize::from(is_told)));
        }
    }
}
