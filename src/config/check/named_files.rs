//! Checks that the files of a configuration can be used.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::certs::challenge::{DnsMethod, DnsOptions};
use crate::certs::{Certificate, CertificateError, TlsFiles};
use crate::config::model::{Config, SiteAction};
use crate::config::report::{Diagnostic, Error, Problem};
use crate::config::value::ProblemReceiver;
use crate::pem;
use crate::proxy::{AccessLogOptions, AccessLogTarget};
use crate::tls::{ClientAuth, ClientAuthError};
use crate::upstream::{Address, Options, Protocol, SystemRoots, TlsError};

/// Reason why a file of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
enum FileError {
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
    /// There is no command at this path.
    #[error("the command {} does not exist; create it, or set the path of another one", path.display())]
    NoCommand {
        /// The path.
        path: PathBuf,
    },
    /// The command cannot be run.
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
        source: io::Error,
    },
    /// The folder of a site is missing or unreadable.
    #[error("{} is not a readable folder: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
    /// The access log cannot be created.
    #[error("the access log {} cannot be written: {source}; create its folder, or set another file", path.display())]
    AccessLog {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: io::Error,
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

impl FileError {
    /// Returns the keys that name such a file; none if any key may.
    fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Pem { .. } | Self::Upstream { .. } => &["root", "cert", "key"],
            Self::Folder { .. } => &["root", "files"],
            Self::Pair { .. } => &["cert", "key"],
            Self::ClientAuth(_) => &["ca", "client-auth"],
            Self::AccessLog { .. } => &["file", "access-log"],
            Self::NoCommand { .. } | Self::Hook { .. } | Self::Page { .. } => &[],
        }
    }
}

/// A file that cannot be used, with the path by which the Proxyfile names it.
struct BadFile {
    path: PathBuf,
    error: FileError,
    /// Keys that name the file; none if any key may.
    keys: &'static [&'static str],
}

impl BadFile {
    fn new(path: &Path, error: impl Into<FileError>) -> Self {
        let error = error.into();
        Self {
            path: path.to_owned(),
            keys: error.keys(),
            error,
        }
    }

    fn at(self, keys: &'static [&'static str]) -> Self {
        Self { keys, ..self }
    }
}

impl Config {
    /// Checks all files of the configuration, and the system's roots if an upstream needs them. Blocks.
    pub fn check_files(&self, system: &SystemRoots) -> Result<(), Error> {
        let problems = self.file_problems(system);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(problems))
        }
    }

    /// Returns a problem for each place at which the Proxyfile names a file that cannot be used.
    pub(crate) fn file_problems(&self, system: &SystemRoots) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        for BadFile { path, error, keys } in self.bad_files(system) {
            for place in self.file_places.of(&path, keys) {
                let problem = Problem::File(error.to_string());
                problems.push(Diagnostic::new(place, problem));
            }
        }
        Diagnostic::sort(&mut problems);
        // Sites share the files of the settings at the top of the file, and two checks may look at one place: it is told once.
        let mut reported = HashSet::new();
        problems.retain(|problem| reported.insert(problem.once_by()));
        problems
    }

    fn bad_files(&self, system: &SystemRoots) -> Vec<BadFile> {
        let roots = self.issuers.iter().filter_map(|issuer| issuer.root.clone());
        let tracing = self.tracing.as_ref();
        let roots = roots.chain(tracing.and_then(|tracing| tracing.root.clone()));
        let mut bad: Vec<_> = roots.filter_map(|root| check_root(&root)).collect();
        bad.extend(self.on_cert.as_deref().and_then(check_command));
        if let Some(ProblemReceiver::Command(command)) = &self.on_problem {
            bad.extend(check_command(command));
        }
        let dns = self.sites.iter().map(|site| &site.dns).chain([&self.dns]);
        bad.extend(dns.flatten().filter_map(check_dns));
        let pages = self.sites.iter().flat_map(|site| site.features.files());
        bad.extend(pages.filter_map(|page| Some(BadFile::new(page, read_page(page).err()?))));
        let client_auths = self
            .sites
            .iter()
            .filter_map(|site| site.client_auth.as_ref());
        bad.extend(client_auths.filter_map(|auth| {
            let error = ClientAuth::load(auth).err()?;
            Some(BadFile::new(&auth.ca, error))
        }));
        for files in self.sites.iter().filter_map(|site| site.tls.as_ref()) {
            bad.extend(check_pair(files));
        }
        let routes = self.sites.iter().flat_map(|site| &site.routes);
        bad.extend(routes.filter_map(|route| check_action(&route.action, system)));
        bad.extend(self.access_log.as_ref().and_then(check_access_log));
        bad
    }
}

fn check_action(action: &SiteAction, system: &SystemRoots) -> Option<BadFile> {
    match action {
        SiteAction::Upstream { addresses, options } => check_upstream(addresses, options, system),
        SiteAction::Files(files) => {
            let path = files.root().to_owned();
            let source = fs::read_dir(&path).err()?;
            let error = FileError::Folder {
                path: path.clone(),
                source,
            };
            Some(BadFile::new(&path, error))
        }
        SiteAction::Redirect(_) | SiteAction::Respond(_) => None,
    }
}

/// Checks the folder of the access log without creating the file. The user of this process may be another one than that of the
/// proxy, so permissions are not checked.
fn check_access_log(options: &AccessLogOptions) -> Option<BadFile> {
    let AccessLogTarget::File(path) = &options.target else {
        return None;
    };
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = fs::metadata(folder.unwrap_or_else(|| Path::new(".")));
    let source = match folder {
        Ok(folder) if !folder.is_dir() => io::ErrorKind::NotADirectory.into(),
        Ok(_) if path.is_dir() => io::ErrorKind::IsADirectory.into(),
        Ok(_) => return None,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
        Err(error) => error,
    };
    let error = FileError::AccessLog {
        path: path.clone(),
        source,
    };
    Some(BadFile::new(path, error))
}

fn check_dns(dns: &DnsOptions) -> Option<BadFile> {
    match &dns.method {
        DnsMethod::Exec(command) => check_command(command),
        _ => None,
    }
}

fn check_upstream(
    addresses: &[Address],
    options: &Options,
    system: &SystemRoots,
) -> Option<BadFile> {
    let has_tls = addresses
        .iter()
        .any(|address| address.protocol() == Protocol::Https);
    let checked = has_tls.then(|| options.tls.check(system))?;
    let error = checked.err()?;
    let path = error.path().unwrap_or_else(|| Path::new("")).to_owned();
    let error = FileError::Upstream { error };
    Some(BadFile::new(&path, error))
}

fn check_command(path: &Path) -> Option<BadFile> {
    let owned = path.to_owned();
    let error = match fs::metadata(path) {
        Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => return None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            FileError::NoCommand { path: owned }
        }
        _ => FileError::Hook { path: owned },
    };
    Some(BadFile::new(path, error))
}

fn read_page(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|source| FileError::Page {
        path: path.to_owned(),
        source,
    })
}

fn check_root(path: &Path) -> Option<BadFile> {
    let error = pem::read_certificates(path).err()?;
    Some(unreadable(path, error))
}

fn unreadable(path: &Path, source: pem::Error) -> BadFile {
    let error = FileError::Pem {
        path: path.to_owned(),
        source,
    };
    BadFile::new(path, error)
}

fn check_pair(files: &TlsFiles) -> Vec<BadFile> {
    let (chain, key) = match (fs::read(&files.cert), fs::read(&files.key)) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => {
            let failed = [
                (&files.cert, chain.err(), &["cert"]),
                (&files.key, key.err(), &["key"]),
            ];
            let failed = failed.into_iter();
            return failed
                .filter_map(|(path, source, key)| Some(unreadable(path, source?.into()).at(key)))
                .collect();
        }
    };
    let certificates = pem::certificates(&chain).err();
    let certificates = certificates.map(|error| unreadable(&files.cert, error).at(&["cert"]));
    let keys = pem::private_keys(&key).err();
    let keys = keys.map(|error| unreadable(&files.key, error).at(&["key"]));
    let damaged: Vec<_> = certificates.into_iter().chain(keys).collect();
    if !damaged.is_empty() {
        return damaged;
    }
    let pair = Certificate::read_pair(&chain, &key).err();
    let pair = pair.map(|source| {
        let error = FileError::Pair {
            files: files.clone(),
            source,
        };
        BadFile::new(&files.cert, error)
    });
    pair.into_iter().collect()
}
