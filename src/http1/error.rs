//! Reasons why an exchange over HTTP/1.1 failed.

use std::io;

/// Failures of a connection, and invalid messages of the server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A read or a write failed.
    #[error("the connection broke off")]
    Io(#[source] io::Error),
    /// The server closed the connection before the head of its response was complete.
    #[error("the server closed the connection without a complete response head")]
    NoResponse,
    /// The peer closed the connection in the middle of a body.
    #[error("the connection was closed before the end of the body")]
    CutBody,
    /// The head of a response has too many bytes or fields.
    #[error("the head of the response is larger than 64 KiB or has more than 256 fields")]
    HeadTooLarge,
    /// The head of a response is not valid.
    #[error("the head of the response is not valid HTTP/1.1")]
    Head(#[source] httparse::Error),
    /// The status of a response is lower than 100.
    #[error("the status of the response is not valid")]
    Status,
    /// The head of a response has a Transfer-Encoding other than a single `chunked`.
    #[error("the response has a Transfer-Encoding other than `chunked`")]
    TransferEncoding,
    /// The head of a response has a Content-Length that is not one number.
    #[error("the response has a Content-Length that is not one number")]
    ContentLength,
    /// The request has no transfer coding that is known, so that nothing says where its body ends.
    #[error("the transfer coding of the request is not a single `chunked`")]
    UnknownCoding,
    /// The server switched protocols before it had the whole request.
    #[error("the server switched protocols before it had the whole request")]
    EarlySwitch,
    /// The framing of a chunked body is not valid.
    #[error("the framing of the chunked body is not valid")]
    Chunk,
    /// The extensions of the chunks have too many bytes.
    #[error("the chunk extensions of the body are larger than 16 KiB")]
    ExtensionsTooLarge,
    /// The trailers have too many bytes or fields.
    #[error("the trailers are larger than 16 KiB or have too many fields")]
    TrailersTooLarge,
    /// The trailers are not valid.
    #[error("the trailers are not valid")]
    Trailers,
    /// The body that is sent has more or fewer bytes than its length says.
    #[error("the body has another length than it declared")]
    BodyLength,
    /// The request has the method CONNECT, which is for proxies only.
    #[error("a request with the method CONNECT cannot be sent to a server")]
    Connect,
}

/// Failure of an exchange. `E` is the error type of the request's body.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError<E> {
    /// The connection failed, or a message is not valid.
    #[error(transparent)]
    Connection(#[from] Error),
    /// The body of the request failed, so that the request can never be complete.
    #[error("the request body failed")]
    Upload(#[source] E),
}
