//! Why the process could not start.

use std::path::PathBuf;

use crate::certs::{AskError, CertificateError, issuer};
use crate::name::HostPattern;
use crate::proxy::RedirectError;
use crate::upstream::TlsError;
use crate::{server, storage};

/// A failed start, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime or its signal handlers could not be made.
    #[error("the runtime could not be started: {0}")]
    Runtime(std::io::Error),
    /// The data directory cannot be used.
    #[error("{0}")]
    Storage(#[from] storage::Error),
    /// A listener could not be opened.
    #[error("{0}")]
    Listen(#[from] server::Error),
    /// The issuer's client or the internal CA could not be made.
    #[error("{0}")]
    Issuer(#[from] issuer::Error),
    /// The client of the ask endpoint could not be made.
    #[error("{0}")]
    Ask(#[from] AskError),
    /// The client that looks at names before their orders could not be made.
    #[error("the client of the preflight cannot be built: {0}")]
    Preflight(reqwest::Error),
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
    /// A site's redirect has a target that cannot be used.
    #[error("the redirect of {site} cannot be used: {source}")]
    Redirect {
        /// The site.
        site: HostPattern,
        /// What is wrong with it.
        source: RedirectError,
    },
    /// A site's certificate file cannot be read.
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
