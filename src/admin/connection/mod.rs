//! Connections to the admin socket, to the metrics listener and to the page, and the limit of those of one client.

mod client_listener;
mod client_places;
mod connection;

pub(super) use client_listener::{ClientConnection, ClientListener};
pub(super) use client_places::{ClientPlace, ClientPlaces};
pub(super) use connection::{Listen, accept_connections, serve_connection};
