//! Reasons why a request got no response from its upstream, or why a body ended early.

use std::io;

use rustix::io::Errno;

use crate::http1::{self, ExchangeError};
use crate::trust::UnknownCertificate;
use crate::upstream::address::Address;
use crate::upstream::certificate_fix::{certificate_fix, known_fix};
use crate::upstream::other_protocol::other_protocol;

/// Failures before the head of a response has arrived.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The upstream has no backends.
    #[error("the upstream has no backend")]
    NoBackend,
    /// The active checks of all backends fail.
    #[error("no backend of the upstream is up")]
    NoHealthyBackend,
    /// All backends and the queue are full.
    #[error("all backends of the upstream and the queue are full")]
    QueueFull,
    /// All backends stayed full for the whole queue time-out.
    #[error("all backends of the upstream are full, and none became free in time")]
    QueueTimeout,
    /// The requests of the client hold as much memory as they may.
    #[error("the requests of the client hold as much memory as they may; the body is not read")]
    BufferFull,
    /// The number of open connections to backends is at its limit.
    #[error("no more connections to backends can be opened; raise the limit of open files")]
    ConnectionLimit,
    /// The client holds its share of the connections to backends.
    #[error(
        "the client holds its share of the connections to backends, and none of them became free in time"
    )]
    ClientShare,
    /// The backend's host did not resolve to an address.
    #[error("the host of backend {backend} did not resolve; check its name, or set `resolvers`")]
    Resolve {
        /// The backend.
        backend: Address,
        /// Error of the resolver.
        #[source]
        source: io::Error,
    },
    /// No address of the backend accepted a connection.
    #[error("{}", connect_failure(backend, source))]
    Connect {
        /// The backend.
        backend: Address,
        /// Error from the last address.
        #[source]
        source: io::Error,
    },
    /// The backend is the proxy itself, so requests would loop.
    #[error(
        "backend {backend} leads back to the proxy itself; use the address of another server, or correct the DNS records of its name"
    )]
    Loop {
        /// The backend.
        backend: Address,
    },
    /// No address of the backend accepted a connection within the connect time-out.
    #[error("backend {backend} did not accept a connection in time")]
    ConnectTimeout {
        /// The backend.
        backend: Address,
    },
    /// The backend's certificate is not trusted.
    #[error(
        "the certificate of backend {backend} cannot be verified: {}",
        certificate_fix(source)
    )]
    Certificate {
        /// The backend.
        backend: Address,
        /// Reason given by the verifier.
        #[source]
        source: Box<rustls::Error>,
    },
    /// The backend does not speak TLS, or supports no version or cipher that the proxy supports.
    #[error(
        "the TLS handshake with backend {backend} failed; use `http://` if it speaks plain HTTP on this port"
    )]
    Handshake {
        /// The backend.
        backend: Address,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The request asks for an upgrade, and the backend speaks only HTTP/2.
    #[error(
        "backend {backend} speaks only HTTP/2 and cannot upgrade a connection; send WebSockets to an `http://` or `https://` upstream"
    )]
    NoUpgrade {
        /// The backend.
        backend: Address,
    },
    /// The backend refused the request without processing it, at each attempt.
    #[error("backend {backend} refused the request without processing it")]
    Refused {
        /// The backend.
        backend: Address,
        /// The cause.
        #[source]
        source: hyper::Error,
    },
    /// The backend reset the HTTP/2 stream of the request.
    #[error("backend {backend} reset the stream of the request ({reason:?})")]
    Reset {
        /// The backend.
        backend: Address,
        /// Error code of the reset.
        reason: h2::Reason,
    },
    /// The head of the response did not arrive within the response time-out.
    #[error("backend {backend} did not begin its response in time")]
    ResponseTimeout {
        /// The backend.
        backend: Address,
    },
    /// The backend switched protocols before it had the whole request.
    #[error("backend {backend} switched protocols before it had the whole request")]
    EarlySwitch {
        /// The backend.
        backend: Address,
    },
    /// The backend closed the connection, or did not send a valid HTTP response.
    #[error("{}", exchange_failure(backend, source.as_ref()))]
    Exchange {
        /// The backend.
        backend: Address,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The backend closed a new connection over plain HTTP without a byte of an answer. TLS servers do so.
    #[error(
        "backend {backend} closed the connection without an answer; write `https://{}` if it speaks HTTPS there",
        .backend.authority()
    )]
    NoAnswer {
        /// The backend.
        backend: Address,
    },
    /// The backend's web server has answered that it expects TLS.
    #[error(
        "backend {backend} says that it expects HTTPS; write `https://{}` if it speaks HTTPS there",
        .backend.authority()
    )]
    TlsPort {
        /// The backend.
        backend: Address,
    },
    /// The response has a Transfer-Encoding that the proxy does not support.
    #[error("the response of backend {backend} has a Transfer-Encoding other than `chunked`")]
    ResponseFraming {
        /// The backend.
        backend: Address,
    },
    /// The head of the response has too many bytes or fields.
    #[error(
        "the head of a response from backend {backend} is larger than 64 KiB or has more than 256 fields; look for a cookie or a field that grows"
    )]
    ResponseHeadTooLarge {
        /// The backend.
        backend: Address,
    },
    /// The client's upload made no progress.
    #[error("the request body made no progress")]
    RequestStalled,
    /// The client's upload is larger than the limit.
    #[error("the request body is too large")]
    RequestTooLarge,
    /// The client aborted its upload.
    #[error("the client aborted the request body")]
    RequestBroken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// `true` if the client caused the failure.
    #[must_use]
    pub fn is_client(&self) -> bool {
        matches!(
            self,
            Self::RequestStalled | Self::RequestTooLarge | Self::RequestBroken(_)
        )
    }

    /// `true` if the message names the cause, so that the source adds nothing.
    #[must_use]
    pub fn says_all(&self) -> bool {
        match self {
            Self::Connect { source, .. } => connect_words(source).is_some(),
            // The resolver then says only that it found nothing.
            Self::Resolve { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Certificate { source, .. } => {
                UnknownCertificate::of(source).is_some() || known_fix(source).is_some()
            }
            Self::Exchange { backend, source } => {
                other_protocol(backend, source.as_ref()).is_some()
            }
            _ => false,
        }
    }

    /// `true` if the cause is too much load, so that another request soon may succeed.
    #[must_use]
    pub fn is_overload(&self) -> bool {
        matches!(
            self,
            Self::QueueFull
                | Self::QueueTimeout
                | Self::BufferFull
                | Self::ConnectionLimit
                | Self::ClientShare
        )
    }

    /// Converts the error of an upload.
    pub(super) fn upload(error: BodyError) -> Self {
        match error {
            BodyError::Stalled => Self::RequestStalled,
            BodyError::TooLarge => Self::RequestTooLarge,
            error => Self::RequestBroken(error.into()),
        }
    }

    /// Converts the error of an exchange over HTTP/1.1. Either the backend or the body of the client's request can be the
    /// cause.
    ///
    /// `is_mute` says that the backend closed a new connection without a byte of an answer.
    pub(super) fn exchange(
        backend: &Address,
        error: ExchangeError<BodyError>,
        is_mute: bool,
    ) -> Self {
        let is_mute = is_mute && backend.may_speak_tls();
        let backend = backend.clone();
        match error {
            ExchangeError::Upload(error) => Self::upload(error),
            ExchangeError::Connection(error) => match error {
                http1::Error::HeadTooLarge => Self::ResponseHeadTooLarge { backend },
                http1::Error::TransferEncoding => Self::ResponseFraming { backend },
                http1::Error::EarlySwitch => Self::EarlySwitch { backend },
                http1::Error::NoResponse | http1::Error::Io(_) if is_mute => {
                    Self::NoAnswer { backend }
                }
                error => Self::Exchange {
                    backend,
                    source: error.into(),
                },
            },
        }
    }

    /// `true` if no byte of the request was sent, so that it can go to another backend.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Loop { .. }
            | Self::ConnectTimeout { .. }
            | Self::Certificate { .. }
            | Self::Handshake { .. }
            | Self::NoUpgrade { .. } => true,
            Self::NoBackend
            | Self::NoHealthyBackend
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::BufferFull
            | Self::ConnectionLimit
            | Self::ClientShare
            | Self::ResponseTimeout { .. }
            | Self::EarlySwitch { .. }
            | Self::NoAnswer { .. }
            | Self::TlsPort { .. }
            | Self::ResponseFraming { .. }
            | Self::ResponseHeadTooLarge { .. }
            | Self::RequestStalled
            | Self::RequestTooLarge
            | Self::RequestBroken(_)
            | Self::Refused { .. }
            | Self::Reset { .. }
            | Self::Exchange { .. } => false,
        }
    }

    /// `true` if a failed connection counts as a failure of the backend. It does not if the request wants an upgrade
    /// that the backend does not support, or if the proxy has no resources left.
    pub(super) fn is_fault(&self) -> bool {
        match self {
            Self::NoUpgrade { .. } | Self::ConnectionLimit | Self::ClientShare => false,
            Self::Connect { source, .. } => !is_shortage(source),
            _ => true,
        }
    }

    /// `true` if the connection may have failed because of the name in its TLS handshake.
    pub(super) fn may_be_due_to_name(&self) -> bool {
        matches!(
            self,
            Self::Certificate { .. } | Self::Handshake { .. } | Self::ConnectTimeout { .. }
        )
    }

    /// Converts the error of a TLS handshake.
    pub(super) fn handshake(backend: &Address, error: io::Error) -> Self {
        let backend = backend.clone();
        let source = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match source {
            Some(source @ rustls::Error::InvalidCertificate(_)) => Self::Certificate {
                backend,
                source: Box::new(source.clone()),
            },
            _ => Self::Handshake {
                backend,
                source: error,
            },
        }
    }
}

/// `true` if this machine has no file descriptor or port left for another connection.
fn is_shortage(error: &io::Error) -> bool {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    error.kind() == io::ErrorKind::AddrNotAvailable || is(Errno::MFILE) || is(Errno::NFILE)
}

fn connect_failure(backend: &Address, error: &io::Error) -> String {
    match connect_words(error) {
        Some(words) => format!("backend {backend} {words}"),
        None => format!("the connection to backend {backend} failed"),
    }
}

/// Says in words why no connection could be opened.
fn connect_words(error: &io::Error) -> Option<&'static str> {
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => "refuses connections",
        io::ErrorKind::NotFound => "has no socket at this path",
        io::ErrorKind::PermissionDenied => "has a socket that the proxy may not use",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "cannot be reached over the network"
        }
        _ => return None,
    })
}

fn exchange_failure(
    backend: &Address,
    error: &(dyn std::error::Error + Send + Sync + 'static),
) -> String {
    other_protocol(backend, error).unwrap_or_else(|| {
        format!("backend {backend} closed the connection or sent an invalid response")
    })
}

/// Reasons why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// No data arrived within the body time-out.
    #[error("the body made no progress")]
    Stalled,
    /// The HTTP/1.1 client closed its connection, or broke the framing.
    #[error("the client closed the connection or broke the framing of the body")]
    Request(#[source] http1::Error),
    /// The HTTP/2 backend closed its connection, or broke the framing.
    #[error("the sender closed the connection or broke the framing of the body")]
    Broken(#[source] hyper::Error),
    /// The HTTP/1.1 backend closed its connection, or broke the framing.
    #[error("the backend closed the connection or broke the framing of the body")]
    Response(#[from] http1::Error),
    /// The HTTP/2 stream or its connection ended before the body did.
    #[error("the stream of the body was reset")]
    Reset(#[from] h2::Error),
    /// The client's stream ended before the body did, or broke the rules of its protocol.
    #[error("the client's stream failed: {0}")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The sender ended the HTTP/2 stream early, without an error code (RFC 9113 section 8.1).
    #[error("the sender stopped before the end of the body")]
    Stopped,
    /// The file that is sent as the body is unreadable, or has become shorter.
    #[error("the file could not be read to its end")]
    File(#[source] io::Error),
    /// The body is larger than the limit.
    #[error("the body is larger than the limit")]
    TooLarge,
    /// The whole exchange took too long.
    #[error("the body did not end in time")]
    Overdue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_of_descriptors_or_ports_is_not_a_fault_of_the_backend() {
        let connect = |errno: Errno| Error::Connect {
            backend: Address::parse("app:80").unwrap(),
            source: io::Error::from_raw_os_error(errno.raw_os_error()),
        };
        for errno in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL] {
            assert!(!connect(errno).is_fault(), "{errno}");
        }
        for errno in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::TIMEDOUT] {
            assert!(connect(errno).is_fault(), "{errno}");
        }
        assert!(!Error::ConnectionLimit.is_fault());
    }
}
