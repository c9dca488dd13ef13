//! The reasons for which a connection is refused or cut, where no request is there to be answered.

use std::io;

use super::activity::Overdue;
use super::proxy_protocol::ProxyProtocolError;
use crate::proxy::Reason;
use crate::tls;

/// Why a connection did not become a TLS connection.
pub(super) fn handshake(error: &tls::Error) -> Reason {
    match error {
        tls::Error::TimedOut => Reason::HandshakeTimeout,
        tls::Error::Handshake(error) => broken_handshake(error),
        tls::Error::NoName => Reason::NoName,
        tls::Error::Refused { .. } => Reason::NoCertificate,
        tls::Error::NoChallenge => Reason::NoChallenge,
        tls::Error::Challenge(_) => Reason::ChallengeBroken,
        tls::Error::BadName => Reason::BadName,
    }
}

fn broken_handshake(error: &io::Error) -> Reason {
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    match error {
        None => Reason::HandshakeLeft,
        Some(rustls::Error::AlertReceived(_)) => Reason::HandshakeAlert,
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
            Reason::ClientCertificate
        }
        Some(_) => Reason::HandshakeBroken,
    }
}

/// Why a connection with a deadline was cut.
pub(super) fn overdue(overdue: Overdue) -> Reason {
    match overdue {
        Overdue::Idle => Reason::Idle,
        Overdue::Head => Reason::HeadTimeout,
        Overdue::Stalled => Reason::Stalled,
    }
}

/// Why a connection was not let in.
pub(super) fn proxy_header(error: &ProxyProtocolError) -> Reason {
    match error {
        ProxyProtocolError::Untrusted => Reason::UntrustedPeer,
        ProxyProtocolError::Read(_) => Reason::ProxyHeaderCut,
        ProxyProtocolError::Missing => Reason::ProxyHeaderMissing,
        ProxyProtocolError::TooLong
        | ProxyProtocolError::Malformed(_)
        | ProxyProtocolError::Datagram => Reason::ProxyHeaderMalformed,
    }
}
