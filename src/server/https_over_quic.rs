//! HTTPS connections over QUIC: the handshake under a deadline, then HTTP/3. Where early data is accepted, both at once.

use std::sync::Arc;

use quinn::{Connecting, ConnectionError, VarInt, ZeroRttAccepted};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{Instrument, debug, debug_span};

use super::accept::ConnectionSlot;
use super::handshake_reason::{handshake_reason, quic_reason};
use super::http3::{self, EarlyData, Http3Connection};
use super::https::{Addresses, HANDSHAKE_DRAIN, Https, identity};
use super::quic::{AcceptedQuic, Handshaking};
use crate::tasks::Shutdown;
use crate::tls;

/// A handshake that is complete, or whose early data is accepted.
struct QuicHandshake {
    quic: quinn::Connection,
    facts: tls::QuicFacts,
    slot: ConnectionSlot,
    early: Option<EarlyHandshake>,
}

/// The rest of a handshake whose early data is accepted.
struct EarlyHandshake {
    tls: Arc<tls::QuicHandshake>,
    /// Completes with the handshake.
    completed: ZeroRttAccepted,
    handshaking: Handshaking,
}

impl Https {
    /// Serves one QUIC connection until it is over, a deadline is missed or the process stops.
    pub async fn serve_quic(self: Arc<Self>, accepted: AcceptedQuic, shutdown: Shutdown) {
        let addresses = Addresses {
            peer: accepted.peer,
            local: accepted.local,
            listener: accepted.listener,
        };
        let is_trusted = accepted.is_trusted;
        let span = debug_span!("connection", client.addr = %addresses.peer, server.addr = %addresses.local);
        let served = async move {
            let shaken = Box::pin(self.quic_handshake(accepted, addresses, &shutdown)).await;
            let Some(shaken) = shaken else {
                return;
            };
            let QuicHandshake {
                quic,
                facts,
                slot,
                early,
            } = shaken;
            let mut info = addresses.conn_info();
            info = self.forwarding.apply(info, is_trusted, &slot);
            info.sni = facts.sni;
            info.is_tls13 = true;
            if let Some(client) = facts.client {
                info = info.identified(identity(*client));
            }
            let mut connection = Http3Connection {
                quic,
                info,
                slot,
                early: None,
            };
            let Some(early) = early else {
                Box::pin(http3::serve(&self.http, connection, &shutdown)).await;
                return;
            };
            let (sender, is_complete) = watch::channel(false);
            let name = connection.info.sni.as_ref();
            let name = name.map(ToString::to_string).unwrap_or_default();
            connection.early = Some(EarlyData::new(name, is_complete));
            let completed = self.complete(connection.quic.clone(), early, sender);
            let served = Box::pin(http3::serve(&self.http, connection, &shutdown));
            tokio::join!(served, completed);
        };
        served.instrument(span).await;
    }

    async fn quic_handshake(
        &self,
        accepted: AcceptedQuic,
        addresses: Addresses,
        shutdown: &Shutdown,
    ) -> Option<QuicHandshake> {
        let acceptor = Arc::clone(&self.acceptor);
        let addresses = tls::QuicAddresses {
            client: addresses.peer,
            local: addresses.local,
            listener: addresses.listener,
        };
        let tls = tls::QuicHandshake::new(acceptor, addresses);
        let begun = accepted.begin(Arc::<tls::QuicHandshake>::clone(&tls), &self.transport);
        let connecting = connect(begun.connecting, &tls);
        let connected = tokio::select! {
            connected = timeout(self.limits.handshake_timeout, connecting) => connected,
            () = shutdown.overdue(HANDSHAKE_DRAIN) => return None,
        };
        let failure = match connected {
            Ok(Ok((quic, completed))) => {
                let facts = tls.take_facts();
                if completed.is_none() {
                    self.http.figures().shook_hands(true, facts.is_resumed);
                }
                return Some(QuicHandshake {
                    quic,
                    facts,
                    slot: begun.slot,
                    early: completed.map(|completed| EarlyHandshake {
                        tls,
                        completed,
                        handshaking: begun.handshaking,
                    }),
                });
            }
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        self.count_failed(&tls, failure.as_ref());
        None
    }

    /// Waits until a handshake is complete whose early data is served already. One that fails takes the connection with it.
    async fn complete(
        &self,
        quic: quinn::Connection,
        early: EarlyHandshake,
        is_complete: watch::Sender<bool>,
    ) {
        let completed = timeout(self.limits.handshake_timeout, early.completed).await;
        drop(early.handshaking);
        if early.tls.is_complete() {
            self.http.figures().shook_hands(true, true);
            let _ = is_complete.send(true);
            return;
        }
        let failure = completed.ok().and_then(|_| quic.close_reason());
        self.count_failed(&early.tls, failure.as_ref());
        quic.close(VarInt::from_u32(0), b"");
    }

    fn count_failed(&self, tls: &tls::QuicHandshake, failure: Option<&ConnectionError>) {
        let error = tls.take_error();
        debug!(?failure, ?error, "QUIC handshake failed");
        self.http.figures().failed_handshake();
        let reason = error.as_ref().map(handshake_reason);
        let reason = reason.unwrap_or_else(|| quic_reason(failure));
        self.http.refusals().count(reason);
    }
}

/// Waits for a handshake, or for its early data if that is accepted.
async fn connect(
    begun: Result<Connecting, ConnectionError>,
    tls: &tls::QuicHandshake,
) -> Result<(quinn::Connection, Option<ZeroRttAccepted>), ConnectionError> {
    let mut connecting = begun?;
    if tls.may_have_early_data() {
        // Completes once the ClientHello is answered.
        connecting.handshake_data().await?;
        if tls.has_early_data() {
            match connecting.into_0rtt() {
                Ok((quic, completed)) => return Ok((quic, Some(completed))),
                Err(complete) => connecting = complete,
            }
        }
    }
    connecting.await.map(|quic| (quic, None))
}
