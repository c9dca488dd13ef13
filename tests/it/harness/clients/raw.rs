//! One end of a TCP connection, read and written byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::deadline::soon;

/// A connection and the bytes that were read ahead from it.
pub(crate) struct RawStream {
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl RawStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.unwrap())
    }

    /// Writes bytes; a peer that stops reading is not an error.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Closes the writing side.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        let socket = self.stream.into_std().unwrap();
        socket2::SockRef::from(&socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Reads up to and including `end`; `None` if the connection ends before.
    pub(crate) async fn read_until(&mut self, end: &str) -> Option<String> {
        loop {
            let found = self
                .ahead
                .windows(end.len())
                .position(|part| part == end.as_bytes());
            if let Some(start) = found {
                let rest = self.ahead.split_off(start + end.len());
                let read = std::mem::replace(&mut self.ahead, rest);
                return Some(String::from_utf8_lossy(&read).into_owned());
            }
            if soon(self.fill()).await == 0 {
                return None;
            }
        }
    }

    /// Reads the head of the next message, however late it begins.
    pub(crate) async fn read_late_head(&mut self) -> Option<String> {
        if self.ahead.is_empty() && self.fill().await == 0 {
            return None;
        }
        self.read_head().await
    }

    /// Reads the head of the next message.
    pub(crate) async fn read_head(&mut self) -> Option<String> {
        self.read_until("\r\n\r\n").await
    }

    /// Reads exactly `len` bytes, or fewer if the connection ends before.
    /// Returns what has arrived already and was not read yet.
    pub(crate) fn read_early(&mut self) -> String {
        let mut early = std::mem::take(&mut self.ahead);
        let mut piece = [0; 1024];
        if let Ok(len) = self.stream.try_read(&mut piece) {
            early.extend_from_slice(&piece[..len]);
        }
        String::from_utf8_lossy(&early).into_owned()
    }

    pub(crate) async fn read_exact(&mut self, len: usize) -> Vec<u8> {
        while self.ahead.len() < len && soon(self.fill()).await > 0 {}
        let rest = self.ahead.split_off(len.min(self.ahead.len()));
        std::mem::replace(&mut self.ahead, rest)
    }

    /// Reads until the peer ends the connection, cleanly or not.
    pub(crate) async fn read_to_end(&mut self) -> String {
        while soon(self.fill()).await > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.ahead)).into_owned()
    }

    /// Reads the body of a message whose head is `head`, as it is on the wire.
    pub(crate) async fn read_body(&mut self, head: &str) -> Option<String> {
        if header(head, "transfer-encoding").is_some() {
            let mut body = self.read_until("0\r\n").await?;
            if self.read_exact(2).await != b"\r\n" {
                body.push_str("(trailers)");
            }
            return Some(body);
        }
        let len = header(head, "content-length").map_or(0, |len| len.parse().unwrap());
        let body = self.read_exact(len).await;
        (body.len() == len).then(|| String::from_utf8_lossy(&body).into_owned())
    }

    async fn fill(&mut self) -> usize {
        self.stream.read_buf(&mut self.ahead).await.unwrap_or(0)
    }
}

/// Returns the value of a field in a head.
pub(crate) fn header<'head>(head: &'head str, name: &str) -> Option<&'head str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Sends `request` on a connection of its own and returns everything that comes back.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut client = RawStream::connect(address).await;
    client.send(request).await;
    client.read_to_end().await
}
