//! Listeners, client connections and their limits. Joins the two towers.
//!
//! ```text
//! https_over_quic -> { https, http3 -> { connection, quic -> accept } }
//! https, plain_http -> connection -> direct_responder, accept, current_date, lingering_close
//! ```

mod accept;
mod alt_svc;
mod connection;
mod current_date;
mod direct_responder;
mod forwarding_rules;
mod handshake_reason;
mod http3;
mod http_on_https;
mod https;
mod https_location;
mod https_over_quic;
mod https_ports;
mod lingering_close;
mod options;
mod plain_http;
mod quic;

pub use accept::{
    AcceptLoop, AcceptRules, Accepted, BindError, ClientLimit, ConnectionSlot, ListenSocket,
    Listener, OpenListener, ProxyProtocol,
};
pub use alt_svc::{AltSvc, Http3Service};
pub use connection::{Http, HttpConnection};
pub use direct_responder::DirectResponder;
pub use forwarding_rules::ForwardingRules;
pub use https::{Https, HttpsParts};
pub use https_ports::HttpsPorts;
pub use options::{Http3Options, Limits, ListenOptions, ListenerOptions};
pub use plain_http::{PlainHttp, PlainHttpParts};
pub use quic::{
    AcceptedQuic, ClosedSocket, PredecessorLink, QuicAcceptLoop, QuicAcceptParts, QuicKeys,
    QuicNetwork, SuccessorLink, UdpListener, WorkerSockets,
};
