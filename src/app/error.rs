//! Errors that keep the process from starting, or a new configuration from taking effect.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::certs::challenge::Dns01Error;
use crate::certs::{AskError, CertificateError, import, issuer};
use crate::config;
use crate::name::HostPattern;
use crate::proxy::{AccessLogTarget, PageError};
use crate::tls::ClientAuthError;
use crate::upstream::TlsError;
use crate::web_client::WebClientError;
use crate::{admin, server, storage};

/// A failed start or reload, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime or its signal handlers cannot be set up.
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
    /// The log has the error.
    #[error("the log says why the proxy does not run")]
    Logged,
    /// The configuration is not valid.
    #[error("{0}")]
    Config(#[from] config::Error),
    /// The thread that builds the new configuration has panicked.
    #[error("the configuration cannot be built: {0}")]
    Abandoned(tokio::sync::oneshot::error::RecvError),
    /// The data directory cannot be used.
    #[error("{0}")]
    Storage(#[from] storage::Error),
    /// The admin socket cannot be opened.
    #[error("{0}")]
    Admin(#[from] admin::Error),
    /// The metrics cannot be served.
    #[error(
        "metrics cannot be served on {address}: {source}; give another address with --metrics ADDR"
    )]
    Metrics {
        /// The configured address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The status page cannot be served.
    #[error("the page cannot be served on {address}: {source}; give another address as `page`")]
    StatusPage {
        /// The configured address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The access log's file cannot be written.
    #[error("the access log {target} cannot be opened: {source}; name a file that can be written")]
    AccessLog {
        /// The configured target.
        target: AccessLogTarget,
        /// The system's error.
        source: std::io::Error,
    },
    /// The client of the collector of traces cannot be set up.
    #[error("the client for `tracing` cannot be set up: {0}")]
    Tracing(WebClientError),
    /// An error page of a site cannot be read.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The process cannot become the configured user.
    #[error("{0}")]
    Privileges(#[from] super::process::privileges::PrivilegeError),
    /// A listener cannot be bound.
    #[error("{0}")]
    Listen(#[from] server::BindError),
    /// The client of an issuer or the internal CA cannot be set up.
    #[error("{0}")]
    Issuer(#[from] issuer::Error),
    /// The certificates of another program cannot be imported.
    #[error("{0}")]
    Import(#[from] import::Error),
    /// The client of the ask endpoint cannot be set up.
    #[error("{0}")]
    Ask(#[from] AskError),
    /// The client of the preflight checks cannot be set up.
    #[error("the client of the preflight checks cannot be set up: {0}")]
    Preflight(WebClientError),
    /// The client of the web server in `on-problem` cannot be set up.
    #[error("the client for `on-problem` cannot be set up: {0}")]
    ProblemReceiver(WebClientError),
    /// The rehearsal cannot begin.
    #[error("{0}")]
    Rehearsal(String),
    /// The dns-01 provider of a site cannot be set up.
    #[error("{0}")]
    Dns(#[from] Dns01Error),
    /// TLS to a site's backends cannot be set up.
    #[error("the upstream of {site} cannot be used: {source}{}", .source.reason())]
    Upstream {
        /// The site.
        site: HostPattern,
        /// The error.
        source: Box<TlsError>,
    },
    /// The TLS server cannot be set up.
    #[error("the TLS server cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// Client certificates of a site cannot be verified.
    #[error("client certificates of {site} cannot be verified: {source}")]
    ClientAuth {
        /// The site.
        site: HostPattern,
        /// The error.
        source: ClientAuthError,
    },
    /// A site's file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The certificate files of a site cannot be used.
    #[error("the certificate of {site} in {} cannot be used: {source}", path.display())]
    Certificate {
        /// The site.
        site: HostPattern,
        /// Its certificate file.
        path: PathBuf,
        /// The error.
        source: CertificateError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::troubleshooting_tests::quotations;

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
            unusable(CertificateError::Pem(crate::pem::Error::Encrypted)),
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
