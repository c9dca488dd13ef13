//! The TLS session of one QUIC connection. It waits for the whole ClientHello before it begins, since the name in it decides which
//! certificate the client sees and whether it has to show one itself.

use std::any::Any;
use std::io::Cursor;
use std::sync::Arc;

use quinn_proto::crypto::{
    ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, Session,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectionId, Side, TransportError, TransportErrorCode};
use rustls::quic::{KeyChange, Secrets, ServerConnection, Suite, Version};
use rustls::server::{Acceptor, ClientHello};
use rustls::{AlertDescription, ServerConfig};

use super::error::Error;

/// Most bytes of a ClientHello: those of one TLS record, as which it is parsed.
const MOST_HELLO: usize = 16 * 1024;
/// Bytes before the body of a handshake message: its type and its length.
const MESSAGE_HEAD: usize = 4;

/// The rules of a session, which hear what comes of it.
pub(super) trait SessionRules: Send + Sync {
    /// Returns the configuration for a client with this ClientHello.
    fn config_for(&self, hello: &ClientHello<'_>) -> Result<Arc<ServerConfig>, Error>;

    /// Records the answer to the ClientHello.
    fn began(&self, tls: &ServerConnection);

    /// Records a handshake that is complete.
    fn succeeded(&self, tls: &ServerConnection);

    /// Records why this side refuses the handshake.
    fn failed(&self, error: Error);
}

/// A server's session.
pub(super) struct QuicSession {
    rules: Arc<dyn SessionRules>,
    suite: Suite,
    version: Version,
    /// The transport parameters that are sent.
    params: Vec<u8>,
    state: State,
    next_secrets: Option<Secrets>,
}

enum State {
    /// A part of the ClientHello has come.
    Hello(Vec<u8>),
    Tls(Box<ServerConnection>),
}

impl QuicSession {
    pub(super) fn new(
        rules: Arc<dyn SessionRules>,
        suite: Suite,
        version: Version,
        params: &TransportParameters,
    ) -> Self {
        let mut written = Vec::new();
        params.write(&mut written);
        Self {
            rules,
            suite,
            version,
            params: written,
            state: State::Hello(Vec::new()),
            next_secrets: None,
        }
    }

    fn tls(&self) -> Option<&ServerConnection> {
        match &self.state {
            State::Tls(tls) => Some(tls),
            State::Hello(_) => None,
        }
    }

    fn tls_mut(&mut self) -> Option<&mut ServerConnection> {
        match &mut self.state {
            State::Tls(tls) => Some(tls),
            State::Hello(_) => None,
        }
    }

    /// Begins with a whole ClientHello.
    fn begin(&mut self, hello: &[u8]) -> Result<(), TransportError> {
        let config = self.rules.config_for(&parsed(hello)?.client_hello());
        let config = config.map_err(|error| {
            let refused = alert(AlertDescription::UnrecognisedName, error.to_string());
            self.rules.failed(error);
            refused
        })?;
        let params = std::mem::take(&mut self.params);
        let tls = ServerConnection::new(config, self.version, params);
        let tls = tls.map_err(|error| alert(AlertDescription::InternalError, error.to_string()))?;
        self.state = State::Tls(Box::new(tls));
        self.read(hello)?;
        if let Some(tls) = self.tls() {
            self.rules.began(tls);
        }
        Ok(())
    }

    /// Reads bytes after the session has begun.
    fn read(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        let Self {
            rules,
            state: State::Tls(tls),
            ..
        } = self
        else {
            return Ok(());
        };
        let was_handshaking = tls.is_handshaking();
        if let Err(error) = tls.read_hs(bytes) {
            let code = tls.alert().unwrap_or(AlertDescription::InternalError);
            let refused = alert(code, error.to_string());
            rules.failed(Error::from(error));
            return Err(refused);
        }
        if was_handshaking && !tls.is_handshaking() {
            rules.succeeded(tls);
        }
        Ok(())
    }
}

/// Parses a ClientHello by wrapping it into a TLS record.
fn parsed(hello: &[u8]) -> Result<rustls::server::Accepted, TransportError> {
    let malformed = || alert(AlertDescription::DecodeError, String::new());
    let length = u16::try_from(hello.len()).map_err(|_| malformed())?;
    let [high, low] = length.to_be_bytes();
    let record = [&[22, 3, 1, high, low], hello].concat();
    let mut acceptor = Acceptor::default();
    let read = acceptor.read_tls(&mut &record[..]);
    read.map_err(|_| malformed())?;
    let accepted = acceptor.accept().map_err(|_| malformed())?;
    accepted.ok_or_else(malformed)
}

fn alert(alert: AlertDescription, reason: String) -> TransportError {
    TransportError {
        code: TransportErrorCode::crypto(alert.into()),
        frame: None,
        reason,
    }
}

/// Returns the bytes of the handshake message that begins with these.
fn message_length(begin: &[u8]) -> Option<usize> {
    let [_, high, middle, low] = begin.first_chunk::<MESSAGE_HEAD>()?;
    let body = u32::from_be_bytes([0, *high, *middle, *low]);
    usize::try_from(body).ok().map(|body| MESSAGE_HEAD + body)
}

/// Returns keys in the form of the QUIC library.
pub(super) fn boxed(keys: rustls::quic::Keys) -> Keys {
    Keys {
        header: KeyPair {
            local: Box::new(keys.local.header),
            remote: Box::new(keys.remote.header),
        },
        packet: KeyPair {
            local: Box::new(keys.local.packet),
            remote: Box::new(keys.remote.packet),
        },
    }
}

impl Session for QuicSession {
    fn initial_keys(&self, id: &ConnectionId, side: Side) -> Keys {
        let side = if side.is_server() {
            rustls::Side::Server
        } else {
            rustls::Side::Client
        };
        boxed(self.suite.keys(id, side, self.version))
    }

    /// Says only that there are facts, which are told to the rules.
    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.tls().map(|_| Box::new(()) as Box<dyn Any>)
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        let keys = self.tls()?.zero_rtt_keys()?;
        Some((Box::new(keys.header), Box::new(keys.packet)))
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        self.tls().is_none_or(|tls| tls.is_handshaking())
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        let State::Hello(hello) = &mut self.state else {
            self.read(bytes)?;
            return Ok(false);
        };
        hello.extend_from_slice(bytes);
        let Some(length) = message_length(hello) else {
            return Ok(false);
        };
        if length > MOST_HELLO {
            return Err(alert(AlertDescription::DecodeError, String::new()));
        }
        if hello.len() < length {
            return Ok(false);
        }
        let hello = std::mem::take(hello);
        let (hello, rest) = hello.split_at(length);
        self.begin(hello)?;
        if !rest.is_empty() {
            self.read(rest)?;
        }
        Ok(true)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let params = self.tls().and_then(|tls| tls.quic_transport_parameters());
        let params =
            params.map(|params| TransportParameters::read(Side::Server, &mut Cursor::new(params)));
        Ok(params.transpose()?)
    }

    fn write_handshake(&mut self, buffer: &mut Vec<u8>) -> Option<Keys> {
        let keys = match self.tls_mut()?.write_hs(buffer)? {
            KeyChange::Handshake { keys } => keys,
            KeyChange::OneRtt { keys, next } => {
                self.next_secrets = Some(next);
                keys
            }
        };
        Some(boxed(keys))
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let keys = self.next_secrets.as_mut()?.next_packet_keys();
        Some(KeyPair {
            local: Box::new(keys.local),
            remote: Box::new(keys.remote),
        })
    }

    /// Servers get none.
    fn is_valid_retry(&self, _: &ConnectionId, _: &[u8], _: &[u8]) -> bool {
        false
    }

    /// HTTP/3 needs no keys of its own.
    fn export_keying_material(
        &self,
        _: &mut [u8],
        _: &[u8],
        _: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        Err(ExportKeyingMaterialError)
    }
}
