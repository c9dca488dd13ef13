//! A TCP listener on which no client can take all connections.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};

use super::client_places::{ClientPlace, ClientPlaces};
use super::connection::Listen;
use crate::proxy::ClientKey;

/// Most open connections of one client.
const CONNECTIONS: usize = 4;
/// Connections of one client beyond these, which are only told so. Others are closed unanswered.
const TOLD: usize = 1;

/// A TCP listener with a limit of the connections of each client. Clients on loopback have no limit, because another proxy on
/// this machine connects for many.
#[derive(Debug)]
pub(in crate::admin) struct ClientListener {
    listener: Arc<TcpListener>,
    places: ClientPlaces,
}

/// An accepted connection.
#[derive(Debug)]
pub(in crate::admin) struct ClientConnection {
    pub(in crate::admin) stream: TcpStream,
    pub(in crate::admin) client: IpAddr,
    /// The place of the connection among those of its client. `None` if they are not counted.
    place: Option<ClientPlace>,
}

impl ClientListener {
    /// Sets a limit for the connections of each client on a listener.
    pub(in crate::admin) fn new(listener: Arc<TcpListener>) -> Self {
        Self {
            listener,
            places: ClientPlaces::new(CONNECTIONS + TOLD),
        }
    }
}

impl Listen for ClientListener {
    type Stream = ClientConnection;

    async fn accept(&self) -> io::Result<ClientConnection> {
        loop {
            let (stream, peer) = self.listener.accept().await?;
            let client = peer.ip().to_canonical();
            let is_counted = !client.is_loopback();
            let place = is_counted.then(|| self.places.take(ClientKey::of(client)));
            if let Some(None) = place {
                continue;
            }
            return Ok(ClientConnection {
                stream,
                client,
                place: place.flatten(),
            });
        }
    }
}

impl ClientConnection {
    /// `true` if the connections of the client are counted.
    pub(in crate::admin) fn is_counted(&self) -> bool {
        self.place.is_some()
    }

    /// `true` if the client has as many connections as it may have, without this one.
    pub(in crate::admin) fn is_too_many(&self) -> bool {
        let place = self.place.as_ref();
        place.is_some_and(|place| place.number > CONNECTIONS)
    }
}
