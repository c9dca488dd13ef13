//! Why the process could not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::certs::challenge::Dns01Error;
use crate::certs::{AskError, CertificateError, import, issuer};
use crate::config::{self, FileError};
use crate::name::HostPattern;
use crate::proxy::{AccessLogTarget, PageError};
use crate::tls::ClientAuthError;
use crate::upstream::TlsError;
use crate::{admin, server, storage};

/// A failed start, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime or its signal handlers could not be made.
    #[error("the runtime could not be started: {0}")]
    Runtime(std::io::Error),
    /// There is no configuration.
    #[error("{0}")]
    Config(#[from] config::Error),
    /// Files that the configuration names cannot be used: one line each.
    #[error("{}", lines(.0))]
    Files(Vec<FileError>),
    /// A mistake in the program ended the building of what the configuration asks for.
    #[error("it could not be built: {0}")]
    Abandoned(tokio::task::JoinError),
    /// The data directory cannot be used.
    #[error("{0}")]
    Storage(#[from] storage::Error),
    /// The admin socket could not be opened.
    #[error("{0}")]
    Admin(#[from] admin::Error),
    /// The metrics cannot be served.
    #[error(
        "metrics cannot be served on {address}: {source}; give another address with --metrics ADDR"
    )]
    Metrics {
        /// Where they were asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The access log's file cannot be written.
    #[error("the access log {target} cannot be opened: {source}; name a file that can be written")]
    AccessLog {
        /// Where the lines were to go.
        target: AccessLogTarget,
        /// What the system said.
        source: std::io::Error,
    },
    /// A page of a site cannot be read.
    #[error(transparent)]
    Page(#[from] PageError),
    /// A listener could not be opened.
    #[error("{0}")]
    Listen(#[from] server::Error),
    /// The issuer's client or the internal CA could not be made.
    #[error("{0}")]
    Issuer(#[from] issuer::Error),
    /// What another program left behind cannot be taken over.
    #[error("{0}")]
    Import(#[from] import::Error),
    /// The client of the ask endpoint could not be made.
    #[error("{0}")]
    Ask(#[from] AskError),
    /// The client that looks at names before their orders could not be made.
    #[error("the client of the preflight cannot be built: {0}")]
    Preflight(reqwest::Error),
    /// A site's way to set DNS records could not be made.
    #[error("{0}")]
    Dns(#[from] Dns01Error),
    /// TLS towards a site's backends could not be set up.
    #[error("the upstream of {site} cannot be used: {source}{}", .source.reason())]
    Upstream {
        /// The site.
        site: HostPattern,
        /// What is wrong with it.
        source: Box<TlsError>,
    },
    /// The TLS server could not be made.
    #[error("the TLS server could not be made: {0}")]
    Tls(#[from] rustls::Error),
    /// The clients of a site cannot be asked for certificates.
    #[error("clients of {site} cannot be verified: {source}")]
    ClientAuth {
        /// The site.
        site: HostPattern,
        /// What is wrong.
        source: ClientAuthError,
    },
    /// A site's file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A site's certificate files cannot be served.
    #[error("the certificate of {site} in {} cannot be used: {source}", path.display())]
    Certificate {
        /// The site.
        site: HostPattern,
        /// Its certificate file.
        path: PathBuf,
        /// What is wrong with it.
        source: CertificateError,
    },
}

fn lines(errors: &[FileError]) -> String {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::sentences::quotations;

    #[test]
    fn what_is_wrong_with_a_pair_of_files_is_documented() {
        let path = || PathBuf::from("/etc/proxy/files.pem");
        let names = ["files.example.org", "www.example.org"];
        let [site, other] = names.map(|name| HostPattern::parse(name).unwrap());
        let unusable = |source| Error::Certificate {
            site: site.clone(),
            path: path(),
            source,
        };
        let quotations = quotations();
        for error in [
            Error::ReadFile {
                path: path(),
                source: std::io::Error::from_raw_os_error(2),
            },
            unusable(CertificateError::KeyMismatch),
            unusable(CertificateError::Chain(1)),
            unusable(CertificateError::Names {
                wanted: site.clone(),
                names: vec![other],
            }),
            Error::Admin(admin::Error::Unknown(site.clone())),
        ] {
            assert!(quotations.contains(&error.to_string()), "{error}");
        }
    }
}
