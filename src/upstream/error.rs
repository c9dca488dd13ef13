//! Reasons why a request got no response from its upstream, and why a body broke off.

use std::error::Error as _;
use std::io;

use rustix::io::Errno;

use crate::upstream::address::Address;

/// Failures between a request and its response's head.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The upstream has no backend at all.
    #[error("the upstream has no backend")]
    NoBackend,
    /// The active checks of all backends fail.
    #[error("no backend of the upstream is up")]
    NoHealthyBackend,
    /// All backends are full, and so is the queue.
    #[error("all backends are full, and so is the queue for them")]
    QueueFull,
    /// All backends were full for as long as a request may wait.
    #[error("all backends are full, and none was free in time")]
    QueueTimeout,
    /// The limit of open connections to backends is reached.
    #[error("as many connections to backends are open as the limit of open files allows")]
    ConnectionLimit,
    /// The backend's host has no address.
    #[error("the host of backend {backend} did not resolve")]
    Resolve {
        /// The backend.
        backend: Address,
        /// Error of the resolver.
        #[source]
        source: io::Error,
    },
    /// All addresses of the backend refused.
    #[error("no connection to backend {backend} could be made")]
    Connect {
        /// The backend.
        backend: Address,
        /// Error of the last address.
        #[source]
        source: io::Error,
    },
    /// The backend is the proxy itself, so that requests would go round for ever.
    #[error(
        "backend {backend} leads back to the proxy itself; give the address of the app, or correct the DNS of its name"
    )]
    Loop {
        /// The backend.
        backend: Address,
    },
    /// No address of the backend accepted within the connect time-out.
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
        /// Reason of the verifier.
        #[source]
        source: Box<rustls::Error>,
    },
    /// The backend speaks no TLS, or no TLS in common.
    #[error(
        "no TLS connection to backend {backend} could be made; write `http://` if it speaks plain HTTP there"
    )]
    Handshake {
        /// The backend.
        backend: Address,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A WebSocket for a backend that takes none.
    #[error(
        "backend {backend} speaks HTTP/2 only, which takes no upgrade; send WebSockets to an `http://` or `https://` upstream"
    )]
    NoUpgrade {
        /// The backend.
        backend: Address,
    },
    /// The backend refused the request before it began with it, at each attempt.
    #[error("backend {backend} refused the request before it began with it")]
    Refused {
        /// The backend.
        backend: Address,
        /// The refusal.
        #[source]
        source: hyper::Error,
    },
    /// The backend reset the request's stream.
    #[error("backend {backend} reset the request's stream ({reason:?})")]
    Reset {
        /// The backend.
        backend: Address,
        /// Error code of the reset.
        reason: h2::Reason,
    },
    /// The response's head did not arrive within the response time-out.
    #[error("backend {backend} did not begin its response in time")]
    ResponseTimeout {
        /// The backend.
        backend: Address,
    },
    /// The backend closed the connection, or did not send a valid HTTP response.
    #[error("backend {backend} did not answer in HTTP")]
    Exchange {
        /// The backend.
        backend: Address,
        /// The cause.
        #[source]
        source: hyper::Error,
    },
    /// The response's head has too many bytes or fields.
    #[error(
        "the head of the response of backend {backend} is larger than 64 KiB or has more than 100 fields; look for a cookie or a field that grows"
    )]
    ResponseHeadTooLarge {
        /// The backend.
        backend: Address,
    },
    /// The client's upload made no progress.
    #[error("the request's body made no progress")]
    RequestStalled,
    /// The client's upload is larger than the limit.
    #[error("the request's body is too large")]
    RequestTooLarge,
    /// The client broke its upload off.
    #[error("the request's body broke off")]
    RequestBroken(#[source] hyper::Error),
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

    /// `true` if the failure is due to load, so that another attempt soon may succeed.
    #[must_use]
    pub fn is_overload(&self) -> bool {
        matches!(
            self,
            Self::QueueFull | Self::QueueTimeout | Self::ConnectionLimit
        )
    }

    /// Converts the error of an exchange, which may stem from the client's body as well as from the backend.
    pub(super) fn exchange(backend: &Address, error: hyper::Error) -> Self {
        let body = error
            .source()
            .and_then(|source| source.downcast_ref::<BodyError>());
        match body {
            None if error.is_parse_too_large() => Self::ResponseHeadTooLarge {
                backend: backend.clone(),
            },
            None | Some(BodyError::File(_)) => Self::Exchange {
                backend: backend.clone(),
                source: error,
            },
            Some(BodyError::Stalled) => Self::RequestStalled,
            Some(BodyError::TooLarge) => Self::RequestTooLarge,
            Some(
                BodyError::Broken(_)
                | BodyError::Reset(_)
                | BodyError::Stopped
                | BodyError::Overdue,
            ) => Self::RequestBroken(error),
        }
    }

    /// `true` if the request reached no backend, so that another one may have it.
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
            | Self::ConnectionLimit
            | Self::ResponseTimeout { .. }
            | Self::ResponseHeadTooLarge { .. }
            | Self::RequestStalled
            | Self::RequestTooLarge
            | Self::RequestBroken(_)
            | Self::Refused { .. }
            | Self::Reset { .. }
            | Self::Exchange { .. } => false,
        }
    }

    /// `true` if a failed connection counts against the backend: not if the request asks too much of it, nor if the proxy has no
    /// resources left.
    pub(super) fn is_fault(&self) -> bool {
        match self {
            Self::NoUpgrade { .. } | Self::ConnectionLimit => false,
            Self::Connect { source, .. } => !is_shortage(source),
            _ => true,
        }
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

/// `true` if this machine has no file descriptor or port left for a connection.
fn is_shortage(error: &io::Error) -> bool {
    let is_files = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    error.kind() == io::ErrorKind::AddrNotAvailable
        || is_files(Errno::MFILE)
        || is_files(Errno::NFILE)
}

fn certificate_fix(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Bad;
    let rustls::Error::InvalidCertificate(error) = error else {
        return "look at what the backend sends";
    };
    match error {
        Bad::UnknownIssuer | Bad::BadSignature => {
            "nobody trusted has signed it; give its root in `upstream-options.tls.root`"
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "it is for another name; give that name in `upstream-options.tls.sni`"
        }
        Bad::Expired | Bad::ExpiredContext { .. } => "it has expired; renew it at the backend",
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "it is not valid yet; look at the clocks of both machines"
        }
        _ => "it is no certificate for a TLS server; give the backend another one",
    }
}

/// Reasons why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Nothing arrived for the whole body time-out.
    #[error("the body made no progress")]
    Stalled,
    /// The sender's connection or its framing broke.
    #[error("the body's sender broke off")]
    Broken(#[source] hyper::Error),
    /// The client's HTTP/2 stream or its connection ended before the body.
    #[error("the body's sender gave it up")]
    Reset(#[from] h2::Error),
    /// The sender gave its HTTP/2 stream up without an error code (RFC 9113 section 8.1).
    #[error("the body's sender stopped before the end")]
    Stopped,
    /// The file that is sent as the body cannot be read, or has become shorter.
    #[error("the body's file could not be read to its end")]
    File(#[source] io::Error),
    /// The body is larger than the limit.
    #[error("the body is larger than the limit")]
    TooLarge,
    /// The whole exchange has taken too long.
    #[error("the body did not end in time")]
    Overdue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_proxy_has_run_short_of_is_no_fault_of_the_backend() {
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
