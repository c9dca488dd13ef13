//! HTTP/1.1 towards a client: one connection that answers one request after the other. Generic over the byte stream and the
//! service that answers.

mod connection;
mod error;
#[cfg(test)]
mod hyper_comparison;
mod incoming_body;
mod on_upgrade;
mod receiving;
#[cfg(test)]
mod request_corpus;
mod request_meaning;
mod request_parser;
mod response_encoder;
mod service;
mod work;
#[cfg(test)]
mod written_and_read;

pub use connection::ServerConnection;
pub use error::{Refusal, ServerError};
pub use incoming_body::IncomingBody;
pub use on_upgrade::{ByteStream, OnUpgrade};
pub use request_parser::{CutTarget, HeadLimits};
pub use service::{ResponseFuture, Service};
