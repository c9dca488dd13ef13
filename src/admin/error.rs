//! Errors of the admin socket and of its operations.

use std::io;
use std::path::PathBuf;

use http::StatusCode;

use crate::certs::issuer::RolloverError;
use crate::certs::{CertificateRefusal, RevocationError, UnknownReason};
use crate::name::{HostPattern, NameError};

/// A failed operation, in one sentence with the fix.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path of the socket is too long.
    #[error(
        "the path of the admin socket, {}, has {} bytes, but a unix socket can have no more than {limit}; give a shorter path with --admin PATH",
        path.display(), path.as_os_str().len()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Most bytes of a path.
        limit: usize,
    },
    /// Another process listens on the socket.
    #[error(
        "another proxy listens on the admin socket {}; stop it, or give this proxy its own socket with --admin PATH", .0.display()
    )]
    InUse(PathBuf),
    /// Another kind of file is where the socket should be.
    #[error("{} exists and is not a socket; remove it, or give another path with --admin PATH", .0.display())]
    NotASocket(PathBuf),
    /// The socket could not be opened.
    #[error("the admin socket {} cannot be opened: {source}; give another path with --admin PATH", path.display())]
    Open {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The socket belongs to another user.
    #[error("this user may not use the admin socket {}; run the command as the user of the proxy, or as root", .0.display())]
    Denied(PathBuf),
    /// The socket cannot be connected to.
    #[error("the admin socket {} cannot be reached: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The connection ended before the response did.
    #[error("the connection to the admin socket {} failed: {source}; see the log of the proxy", path.display())]
    Connection {
        /// The socket.
        path: PathBuf,
        /// The error of the connection.
        source: hyper::Error,
    },
    /// The response cannot be parsed.
    #[error("the response of the admin socket {} cannot be read; the running proxy may be another version", .0.display())]
    Response(PathBuf),
    /// The proxy refused the request.
    #[error("{sentence}")]
    Refused {
        /// The status of the response.
        status: StatusCode,
        /// Its sentence.
        sentence: String,
    },

    /// The name is not valid.
    #[error(
        "`{text}` is not a valid name: {source}; use a form like `www.example.org` or `*.example.org`"
    )]
    Name {
        /// The text that was given.
        text: String,
        /// The reason.
        source: NameError,
    },
    /// The limit of a page is not valid.
    #[error("`{0}` is not a valid limit; use a whole number from 1 on")]
    Limit(String),
    /// There is no such resource.
    #[error("there is no resource {0}")]
    NoResource(String),
    /// The resource is for another method.
    #[error("only {0} is allowed for this resource")]
    Method(&'static str),
    /// The name is neither configured nor stored.
    #[error(
        "nothing is known about {0}: it has no site and no stored certificate; add it to [sites], or start with --domain"
    )]
    Unknown(HostPattern),
    /// No site has the name.
    #[error("no site has or serves {0}; `proxy status` without a name shows the whole proxy")]
    NoSite(HostPattern),
    /// Nothing is stored for the name, and no proxy runs.
    #[error("nothing is stored for {0}")]
    NotStored(HostPattern),
    /// The operation needs a running proxy.
    #[error("this needs a running proxy; start the proxy first")]
    NeedsProxy,
    /// The task panicked.
    #[error("the operation failed: {0}")]
    Abandoned(tokio::task::JoinError),
    /// Records in storage cannot be read.
    #[error("{0}")]
    Records(#[from] CertificateRefusal),
    /// The reason of a revocation is not valid.
    #[error("`{text}` cannot be used: {source}")]
    Reason {
        /// The text that was given.
        text: String,
        /// The valid reasons.
        source: UnknownReason,
    },
    /// The certificate was not revoked.
    #[error("the certificate of {name} is not revoked: {source}")]
    NotRevoked {
        /// The name.
        name: HostPattern,
        /// The reason.
        source: RevocationError,
    },
    /// The key of an account was not changed.
    #[error("the account key is not changed: {0}")]
    NotRolled(RolloverError),
    /// The body of a request cannot be parsed.
    #[error(
        "the body of the request cannot be read; send JSON like {{\"reason\": \"superseded\"}}"
    )]
    Body,
    /// The reload changed nothing.
    #[error("{reasons}")]
    NotReloaded {
        /// The reasons, one per line.
        reasons: String,
        /// `true` if the configuration is not valid.
        is_invalid: bool,
    },
    /// No other process has taken over.
    #[error("not upgraded, the running proxy goes on: {0}")]
    NotUpgraded(String),
    /// The process ends.
    #[error("the proxy is stopping; start it again when it has ended")]
    Stopping,
    /// The certificate was not renewed.
    #[error("the certificate of {name} is not renewed: {reason}")]
    NotRenewed {
        /// The name.
        name: HostPattern,
        /// The reason.
        reason: CertificateRefusal,
    },
}

impl Error {
    /// `true` if the arguments were not valid.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        self.status() == StatusCode::BAD_REQUEST
    }

    /// `true` if the socket cannot be opened because the disk is full or read-only.
    #[must_use]
    pub fn is_disk_unwritable(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let Self::Open { source, .. } = self else {
            return false;
        };
        matches!(
            source.kind(),
            StorageFull | ReadOnlyFilesystem | QuotaExceeded
        )
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Refused { status, .. } => *status,
            Self::Name { .. } | Self::Limit(_) | Self::Reason { .. } | Self::Body => {
                StatusCode::BAD_REQUEST
            }
            Self::NotReloaded {
                is_invalid: true, ..
            } => StatusCode::BAD_REQUEST,
            Self::NoResource(_) | Self::NoSite(_) | Self::Unknown(_) | Self::NotStored(_) => {
                StatusCode::NOT_FOUND
            }
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotRenewed { .. }
            | Self::NotRevoked { .. }
            | Self::NotRolled(_)
            | Self::NotReloaded { .. }
            | Self::NotUpgraded(_)
            | Self::Stopping => StatusCode::CONFLICT,
            Self::TooLong { .. }
            | Self::InUse(_)
            | Self::NotASocket(_)
            | Self::Open { .. }
            | Self::Denied(_)
            | Self::Connect { .. }
            | Self::Connection { .. }
            | Self::Response(_)
            | Self::NeedsProxy
            | Self::Abandoned(_)
            | Self::Records(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
