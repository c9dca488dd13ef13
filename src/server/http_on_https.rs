//! Plain HTTP on the HTTPS port: a mistyped URL gets a sentence instead of a TLS alert.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;

use crate::uninterrupted::{Uninterrupted, peek};

const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 24\r\n\
    connection: close\r\n\
    \r\n\
    This port speaks HTTPS.\n";

/// Most bytes of a request that are read and discarded.
const DISCARDED: u64 = 64 * 1024;

/// Whether a client begins with the method of an HTTP request. The first byte of TLS is 22, which is no letter.
pub(super) async fn is_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let len = peek(stream, &mut first).await?;
    Ok(len == 1 && first[0].is_ascii_uppercase())
}

/// Answers that the port speaks HTTPS, and waits for the client to leave. A connection that is closed with rejected bytes is
/// reset, and the client may lose the answer.
pub(super) async fn refuse(stream: TcpStream) -> io::Result<()> {
    let mut stream = Uninterrupted::new(stream);
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    copy(&mut stream.take(DISCARDED), &mut sink()).await?;
    Ok(())
}
