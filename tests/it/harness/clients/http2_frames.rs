//! A client that speaks HTTP/2 frame by frame, for what no library sends.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, empty, join, sink, split};

use crate::harness::deadline::soon;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// One end of an HTTP/2 connection.
pub(crate) struct Http2Frames<S> {
    stream: S,
}

/// A frame from the proxy.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http2Frames<S> {
    /// Starts HTTP/2 on `stream` with these settings, each an identifier and a value (RFC 9113 section 6.5.2).
    pub(crate) async fn start(stream: S, settings: &[(u16, u32)]) -> Self {
        let mut client = Self { stream };
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        client.stream.write_all(preface).await.unwrap();
        let setting =
            |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        let payload: Vec<u8> = settings.iter().flat_map(setting).collect();
        client.send(SETTINGS, 0, 0, &payload).await;
        client
    }

    /// Splits the connection into one end that reads and one that sends, for a test that waits for a frame while it sends.
    pub(crate) fn split(
        self,
    ) -> (
        Http2Frames<impl AsyncRead + AsyncWrite + Unpin>,
        Http2Frames<impl AsyncRead + AsyncWrite + Unpin>,
    ) {
        let (reading, sending) = split(self.stream);
        let reading = Http2Frames {
            stream: join(reading, sink()),
        };
        let sending = Http2Frames {
            stream: join(empty(), sending),
        };
        (reading, sending)
    }

    /// Sends one frame. A connection that the proxy has closed is no failure here: what it sent before says why.
    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = len[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        if self.stream.write_all(&frame).await.is_ok() {
            let _ = self.stream.flush().await;
        }
    }

    /// Sends a head or trailers, without compression.
    pub(crate) async fn headers(&mut self, stream: u32, fields: &[(&[u8], &[u8])], is_end: bool) {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).unwrap());
                block.extend_from_slice(text);
            }
        }
        let flags = END_HEADERS | u8::from(is_end);
        self.send(HEADERS, flags, stream, &block).await;
    }

    /// Sends a request for `path` of `authority`.
    pub(crate) async fn get(&mut self, stream: u32, authority: &str, path: &str) {
        let fields: [(&[u8], &[u8]); 4] = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", authority.as_bytes()),
            (b":path", path.as_bytes()),
        ];
        self.headers(stream, &fields, true).await;
    }

    pub(crate) async fn data(&mut self, stream: u32, data: &[u8], is_end: bool) {
        self.send(DATA, if is_end { END_STREAM } else { 0 }, stream, data)
            .await;
    }

    /// Lets the proxy send this many more bytes on a stream, or on the connection if `stream` is 0.
    pub(crate) async fn open_window(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
            .await;
    }

    /// Reads the next frame that does not concern the connection's settings. Returns `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        soon(self.next_late()).await
    }

    async fn next_late(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; len as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            let kind = head[3];
            if ![SETTINGS, PING, WINDOW_UPDATE].contains(&kind) {
                return Some(Frame {
                    kind,
                    stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                    payload,
                });
            }
        }
    }

    /// Reads up to the next frame of this type, which may come as late as the test lets it.
    pub(crate) async fn next_of_late(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next_late().await.expect("the connection is open");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Reads up to the next frame of this type.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection is open");
            if frame.kind == kind {
                return frame;
            }
        }
    }
}
