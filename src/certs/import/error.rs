//! Why something that was found is not taken over.

use std::path::PathBuf;

use crate::certs::certificate::CertificateError;
use crate::storage;

/// One certificate or one place that cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing there has a known form.
    #[error(
        "{} holds no certificate in a known form; give certbot's, Caddy's or lego's folder, Traefik's acme.json, or a PEM file",
        .0.display()
    )]
    Unrecognized(PathBuf),
    /// A file is not the JSON that its name promises.
    #[error("{} is not Traefik's acme.json: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An entry of `acme.json` is not what Traefik writes.
    #[error("{origin}: its certificate or key is not in base64")]
    Encoding {
        /// Where it stands.
        origin: String,
    },
    /// There is a certificate without its key.
    #[error("{}: there is no key in it and none beside it; put the key next to it, as in NAME.key", .0.display())]
    NoKey(PathBuf),
    /// Chain and key cannot be served.
    #[error("{origin}: {source}")]
    Certificate {
        /// Where they lie.
        origin: String,
        /// What is wrong with them.
        source: CertificateError,
    },
    /// The certificate is for nothing that a client can ask for.
    #[error("{0}: it is for no host name")]
    NoNames(String),
    /// No client trusts what a staging CA signs.
    #[error("{0}: it is from a staging CA, which clients do not trust")]
    Staging(String),
    /// Nobody vouches for it.
    #[error("{0}: it is signed by itself, so that clients do not trust it")]
    SelfSigned(String),
    /// The other program's own CA signed it.
    #[error("{0}: it is from Caddy's own CA; local names get a certificate of this proxy's own")]
    LocalCa(String),
    /// It could not be stored.
    #[error("{0}")]
    Storage(#[from] storage::Error),
}
