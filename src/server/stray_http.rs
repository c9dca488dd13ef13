//! Plain HTTP that came to the HTTPS door: a mistyped URL gets a sentence instead of a TLS alert.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;

const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 24\r\n\
    connection: close\r\n\
    \r\n\
    This port speaks HTTPS.\n";

/// How much of a request is read away.
const REQUEST: u64 = 64 * 1024;

/// Whether a client begins with the method of an HTTP request; a TLS record begins with 22.
pub(super) async fn is_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let len = stream.peek(&mut first).await?;
    Ok(len == 1 && first[0].is_ascii_uppercase())
}

/// Says that HTTPS is spoken here, and waits for the client to leave: what is unread when a
/// connection is closed can take the answer along.
pub(super) async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    copy(&mut stream.take(REQUEST), &mut sink()).await?;
    Ok(())
}
