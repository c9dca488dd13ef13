//! HTTP clients for the proxy's own requests, other than those to CAs and backends. Knows no room but `pem`, `printable` and
//! `trust`.

use std::path::{Path, PathBuf};

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use crate::pem;
use crate::printable::with_causes;
use crate::trust::{GivenRoots, NoRoots, ServerVerifier};

/// Reason why a client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WebClientError {
    /// There are no roots for `https://`.
    #[error("{0}")]
    NoRoots(#[from] NoRoots),
    /// The file with roots cannot be read.
    #[error("{} is not a readable PEM file: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the parser.
        source: pem::Error,
    },
    /// The file has a certificate that can never be believed.
    #[error("{} holds no valid root: {source}; use the certificate of the CA that signed the server's", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// The error of TLS.
        source: rustls::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The library refuses the settings.
    #[error("{}", with_causes(.0))]
    Client(#[from] reqwest::Error),
}

/// The servers that a client asks, by how they are believed.
#[derive(Debug)]
pub enum WebServers {
    /// Servers of plain HTTP.
    Plain,
    /// Servers of HTTPS whose certificate a root of this machine has signed.
    Public,
    /// Servers of HTTPS that one of these certificates vouches for, and no root of this machine.
    Private(GivenRoots),
}

impl WebServers {
    /// The server at this URL.
    #[must_use]
    pub fn at(url: &Url) -> Self {
        if url.scheme() == "https" {
            Self::Public
        } else {
            Self::Plain
        }
    }

    /// Servers that the certificates of a PEM file vouch for. Blocks while it reads the file.
    pub fn believed_by(root: &Path) -> Result<Self, WebClientError> {
        let path = || root.to_owned();
        let certificates = pem::read_certificates(root);
        let certificates = certificates.map_err(|source| WebClientError::Unreadable {
            path: path(),
            source,
        })?;
        let given = GivenRoots::new(certificates);
        let given = given.map_err(|source| WebClientError::Root {
            path: path(),
            source,
        })?;
        Ok(Self::Private(given))
    }
}

/// Sets up a client that follows no redirects. `adjust` sets its limits. Blocks while it reads the roots of this machine.
pub fn web_client(
    servers: WebServers,
    adjust: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, WebClientError> {
    let builder = Client::builder()
        .user_agent(concat!("proxy/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .tls_backend_preconfigured(tls_config(servers)?);
    Ok(adjust(builder).build()?)
}

fn tls_config(servers: WebServers) -> Result<ClientConfig, WebClientError> {
    let verifier = match servers {
        WebServers::Private(given) => {
            let verifier = ServerVerifier::new(RootCertStore::empty(), given);
            verifier.map_err(|_| NoRoots::found())?
        }
        WebServers::Public => ServerVerifier::with_system_roots(GivenRoots::default())?,
        // A forward proxy in between may speak HTTPS.
        WebServers::Plain => {
            let verifier = ServerVerifier::with_system_roots(GivenRoots::default());
            verifier.unwrap_or_else(|_| ServerVerifier::believing_nobody())
        }
    };
    Ok(verifier.into_client_config()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_told_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let error = WebServers::believed_by(&path).unwrap_err().to_string();
        assert!(
            error.contains("ca.pem is not a readable PEM file"),
            "{error}"
        );
        std::fs::write(&path, "no certificate").unwrap();
        let error = WebServers::believed_by(&path).unwrap_err().to_string();
        assert!(
            error.contains("ca.pem is not a readable PEM file"),
            "{error}"
        );
    }
}
