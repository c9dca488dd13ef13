//! The reasons under which failed handshakes are counted.

use std::io;

use crate::proxy::Reason;
use crate::tls;

/// Returns the reason under which a QUIC handshake is counted that failed for other reasons than the rules.
pub(super) fn quic_reason(error: Option<&quinn::ConnectionError>) -> Reason {
    use quinn::ConnectionError::{
        ApplicationClosed, ConnectionClosed, LocallyClosed, Reset, TimedOut,
    };
    match error {
        None | Some(TimedOut) => Reason::HandshakeTimeout,
        Some(ConnectionClosed(_)) => Reason::HandshakeAlert,
        Some(ApplicationClosed(_) | Reset | LocallyClosed) => Reason::HandshakeLeft,
        Some(_) => Reason::Http3Protocol,
    }
}

/// Returns the reason under which a failed handshake is counted.
pub(super) fn handshake_reason(error: &tls::Error) -> Reason {
    match error {
        tls::Error::TimedOut => Reason::HandshakeTimeout,
        tls::Error::Handshake(error) => broken_handshake_reason(error),
        tls::Error::NoName => Reason::NoName,
        tls::Error::Refused { .. } | tls::Error::NotInMemory { .. } => Reason::NoCertificate,
        tls::Error::NoChallenge => Reason::NoChallenge,
        tls::Error::Challenge(_) => Reason::ChallengeBroken,
        tls::Error::BadName => Reason::BadName,
        tls::Error::OtherListener { .. } => Reason::OtherListener,
    }
}

fn broken_handshake_reason(error: &io::Error) -> Reason {
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
