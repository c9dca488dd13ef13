//! Listeners and the accept loop: who may connect, on whose behalf, and how often.

mod accept_loop;
mod bind_error;
mod client_limit;
mod listener;
mod proxy_protocol;

pub use accept_loop::{AcceptLoop, AcceptRules, Accepted};
pub use bind_error::BindError;
pub use client_limit::{ClientLimit, ConnectionSlot};
pub use listener::{ListenSocket, Listener, OpenListener};
pub use proxy_protocol::ProxyProtocol;
