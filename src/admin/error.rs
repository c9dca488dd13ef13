//! Why the admin socket could not be opened or reached, or a wish was not granted.

use std::io;
use std::path::PathBuf;

use http::StatusCode;

use super::socket::LONGEST;
use crate::certs::{Refusal, RevocationError, UnknownReason};
use crate::name::{HostPattern, NameError};

/// A failure of status or control, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket's path does not fit.
    #[error(
        "the path of the admin socket, {}, has {} bytes, and a unix socket may have no more than {LONGEST}; give a shorter one with --admin PATH",
        .0.display(), .0.as_os_str().len()
    )]
    TooLong(PathBuf),
    /// Another process serves on the socket.
    #[error(
        "another proxy answers on the admin socket {}; stop it, or give this one a socket of its own with --admin PATH", .0.display()
    )]
    InUse(PathBuf),
    /// Something else lies where the socket should be.
    #[error("{} is there and is no socket; remove it, or give another path with --admin PATH", .0.display())]
    NotASocket(PathBuf),
    /// The socket could not be opened.
    #[error("the admin socket {} cannot be opened: {source}; give another path with --admin PATH", path.display())]
    Open {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket belongs to somebody else.
    #[error("the admin socket {} may not be used by this user; run the command as the user that the proxy runs as, or as root", .0.display())]
    Denied(PathBuf),
    /// The socket cannot be connected to.
    #[error("the admin socket {} cannot be reached: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The answer broke off.
    #[error("the proxy on the admin socket {} ended the conversation: {source}; see its log", path.display())]
    Conversation {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        source: hyper::Error,
    },
    /// The answer is not what this program understands.
    #[error("the answer on the admin socket {} is not understood; is the same version running?", .0.display())]
    Answer(PathBuf),
    /// The proxy answered with an error.
    #[error("{sentence}")]
    Told {
        /// The status of the answer.
        status: StatusCode,
        /// Its sentence.
        sentence: String,
    },

    /// What is asked for is no name.
    #[error("`{text}` is no name: {source}; write it as in `www.example.org` or `*.example.org`")]
    Name {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// A page without limit.
    #[error("`{0}` is no limit; write a whole number from 1 on")]
    Limit(String),
    /// No such resource.
    #[error("there is no {0} here")]
    NoResource(String),
    /// The resource is there, for another method.
    #[error("this resource is for {0}")]
    Method(&'static str),
    /// Nobody configured the name and nothing is stored for it.
    #[error(
        "nothing is known of {0}: no site is configured for it and nothing is stored; add it to [sites], or start with --domain"
    )]
    Unknown(HostPattern),
    /// Storage holds nothing of a name, and no proxy runs to be asked.
    #[error("nothing is stored for {0}")]
    NotStored(HostPattern),
    /// Only a running proxy can do it.
    #[error("this needs a running proxy")]
    NeedsProxy,
    /// A mistake in the program ended the search for an answer.
    #[error("there is no answer: {0}")]
    Abandoned(tokio::task::JoinError),
    /// Records could not be read.
    #[error("{0}")]
    Records(#[from] Refusal),
    /// What is given is no reason.
    #[error("`{text}` cannot be used: {source}")]
    Reason {
        /// What was given.
        text: String,
        /// What can be.
        source: UnknownReason,
    },
    /// The certificate was not taken back.
    #[error("the certificate of {name} is not revoked: {source}")]
    NotRevoked {
        /// The name.
        name: HostPattern,
        /// Why.
        source: RevocationError,
    },
    /// An account has kept its key.
    #[error("the account key is not changed: {0}")]
    NotRolled(RevocationError),
    /// The body is no request.
    #[error(
        "the body of the request is not understood; send JSON, as in {{\"reason\": \"superseded\"}}"
    )]
    Body,
    /// The wish for a new certificate came to nothing.
    #[error("{name} has no new certificate: {reason}")]
    NotRenewed {
        /// The name.
        name: HostPattern,
        /// Why.
        reason: Refusal,
    },
}

impl Error {
    /// Whether the question itself was wrong.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        self.status() == StatusCode::BAD_REQUEST
    }

    /// Whether the system may let the socket be opened later: a full disk, or one that cannot be
    /// written.
    #[must_use]
    pub fn is_passing(&self) -> bool {
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
            Self::Told { status, .. } => *status,
            Self::Name { .. } | Self::Limit(_) | Self::Reason { .. } | Self::Body => {
                StatusCode::BAD_REQUEST
            }
            Self::NoResource(_) | Self::Unknown(_) | Self::NotStored(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotRenewed { .. } | Self::NotRevoked { .. } | Self::NotRolled(_) => {
                StatusCode::CONFLICT
            }
            Self::TooLong(_)
            | Self::InUse(_)
            | Self::NotASocket(_)
            | Self::Open { .. }
            | Self::Denied(_)
            | Self::Connect { .. }
            | Self::Conversation { .. }
            | Self::Answer(_)
            | Self::NeedsProxy
            | Self::Abandoned(_)
            | Self::Records(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
