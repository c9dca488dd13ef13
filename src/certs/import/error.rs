//! Reasons why a certificate is not imported.

use std::path::PathBuf;

use crate::certs::certificate::CertificateError;
use crate::storage;

/// Reason why a certificate or a path cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// No known format was found at the path.
    #[error(
        "{} holds no certificate in a known format; give a folder with PEM files, such as those of certbot, acme.sh, lego and Caddy, Traefik's acme.json, or a PEM file",
        .0.display()
    )]
    Unrecognized(PathBuf),
    /// The folder has too many files.
    #[error(
        "{} holds more than {limit} files, and the others were not read; import its folders one by one",
        path.display()
    )]
    TooManyFiles {
        /// Path of the folder.
        path: PathBuf,
        /// Number of files that were read.
        limit: usize,
    },
    /// A JSON file is not valid.
    #[error("{} is not Traefik's acme.json: {source}", path.display())]
    Json {
        /// Path of the file.
        path: PathBuf,
        /// Error of the JSON parser.
        source: serde_json::Error,
    },
    /// An entry of `acme.json` is not valid.
    #[error("{origin}: its certificate or key is not in base64")]
    Encoding {
        /// File and entry.
        origin: String,
    },
    /// The only key beside the certificate cannot be used.
    #[error("{}: {reason}", path.display())]
    Key {
        /// Path of the key.
        path: PathBuf,
        /// Reason why it cannot be used.
        reason: String,
    },
    /// The certificate has its name only as common name.
    #[error(
        "{0}: it has its name only as common name, which browsers ignore; the proxy gets a new certificate instead"
    )]
    CommonNameOnly(String),
    /// The certificate has no key.
    #[error("{}: there is no key in it and none beside it; put the key next to it, as in NAME.key", .0.display())]
    NoKey(PathBuf),
    /// Chain and key cannot be served.
    #[error("{origin}: {source}")]
    Certificate {
        /// Path of the certificate.
        origin: String,
        /// Reason why it cannot be served.
        source: CertificateError,
    },
    /// The certificate contains no host name.
    #[error("{0}: it is not for any host name")]
    NoNames(String),
    /// The certificate comes from a staging CA.
    #[error("{0}: it is from a staging CA, which clients do not trust")]
    Staging(String),
    /// The certificate is self-signed.
    #[error("{0}: it is self-signed, so clients do not trust it")]
    SelfSigned(String),
    /// The certificate comes from the local CA of Caddy.
    #[error("{0}: it is from Caddy's local CA; this proxy signs local names with its own CA")]
    LocalCa(String),
    /// Storage failed.
    #[error("{0}")]
    Storage(#[from] storage::Error),
}
