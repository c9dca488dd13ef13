//! HTTP/1.1: connections that carry one exchange at a time, towards servers and, in `server`, towards clients. Generic over
//! the byte stream. Knows no room.

mod body_decoder;
mod chunk_decoder;
mod connection;
#[cfg(test)]
mod encode_and_decode;
mod encoded_body;
mod error;
mod field_case;
mod head_parser;
#[cfg(test)]
mod hyper_comparison;
mod read_buffer;
mod request_head;
mod response_head;
#[cfg(test)]
mod scripted_stream;
mod sending;
mod server;
mod upgraded;
mod write_queue;

pub use connection::Connection;
pub use error::{Error, ExchangeError};
pub use field_case::FieldCase;
pub use response_head::ResponseHead;
pub use server::{
    ByteStream, CutTarget, HeadLimits, IncomingBody, OnUpgrade, Refusal, ResponseFuture,
    ServerConnection, ServerError, Service,
};
pub use upgraded::Upgraded;
