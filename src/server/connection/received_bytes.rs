//! The latest bytes that an HTTP/1.1 client has sent, as long as they may hold a fragment. The HTTP library cuts it off a
//! target and hands on what is left, so that `DELETE /folder/#file` would delete the folder.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use http::Uri;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, ReadBuf};

use crate::proxy::Http1Body;

/// Finds out whether a target was cut. The library does not copy a head: a target still lies where it was read to, so its
/// address tells its place among the bytes.
#[derive(Debug)]
pub(in crate::server) struct ReceivedBytes {
    /// Bytes that the library may hold while it waits for the rest of a head.
    most_held: usize,
    /// Whether any byte is kept. Connections without a `#` pay for no more than the search for it.
    has_any: AtomicBool,
    kept: Mutex<Kept>,
}

/// The latest bytes, up to those at the address `end`.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    end: usize,
}

impl ReceivedBytes {
    pub(in crate::server) fn new(most_held: usize) -> Arc<Self> {
        Arc::new(Self {
            most_held,
            has_any: AtomicBool::new(false),
            kept: Mutex::default(),
        })
    }

    /// Records bytes that were read into the library's buffer, while `upload_left` bytes of a body have not come out of it.
    ///
    /// The library reads on only while it holds less than its limit, and what it holds always ends where it reads next.
    pub(super) fn record(&self, read: &[u8], upload_left: u64) {
        let has_any = self.has_any.load(Ordering::Relaxed);
        if self.is_amid_upload(read, upload_left) {
            if has_any {
                self.clear();
            }
            return;
        }
        if !has_any && !read.contains(&b'#') {
            return;
        }
        let mut kept = self.kept.lock();
        let outdated = kept.bytes.len().saturating_sub(self.most_held);
        kept.bytes.drain(..outdated);
        kept.bytes.extend_from_slice(read);
        kept.end = read.as_ptr_range().end.addr();
        let has_any = kept.bytes.contains(&b'#');
        if !has_any {
            *kept = Kept::default();
        }
        self.has_any.store(has_any, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.kept.lock().bytes.is_empty()
    }

    /// Forgets all bytes, when none of them is left in the library.
    pub(super) fn clear(&self) {
        if self.has_any.swap(false, Ordering::Relaxed) {
            *self.kept.lock() = Kept::default();
        }
    }

    /// `true` if no head can begin in `read`, nor in any byte that comes within the library's limit after it. What has not
    /// come out of the library may be in its buffer and in a chunk that it hands over.
    fn is_amid_upload(&self, read: &[u8], upload_left: u64) -> bool {
        let near = read.len().saturating_add(self.most_held.saturating_mul(3));
        upload_left != Http1Body::UNKNOWN
            && u64::try_from(near).is_ok_and(|near| upload_left > near)
    }

    /// `true` if the target of a request that has just been parsed had a fragment.
    pub(in crate::server) fn is_cut(&self, target: &Uri) -> bool {
        if !self.has_any.load(Ordering::Relaxed) {
            return false;
        }
        let kept = self.kept.lock();
        let path = target.path_and_query().map(|path| path.as_str());
        let authority = target.authority().map(|authority| authority.as_str());
        [path, authority]
            .into_iter()
            .flatten()
            .any(|part| kept.next_byte(part) == Some(b'#'))
    }
}

impl Kept {
    /// Returns the byte that came after this part of a target.
    fn next_byte(&self, part: &str) -> Option<u8> {
        let left = self
            .end
            .checked_sub(part.as_bytes().as_ptr_range().end.addr())?;
        let index = self.bytes.len().checked_sub(left)?;
        self.bytes.get(index).copied()
    }
}

/// A stream that records what is read from it.
pub(in crate::server) struct RecordedReads<R> {
    pub(in crate::server) inner: R,
    pub(in crate::server) received: Arc<ReceivedBytes>,
}

impl<R: AsyncRead + Unpin> AsyncRead for RecordedReads<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.received.record(&buf.filled()[before..], 0);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex as StdMutex;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Empty};
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncWriteExt, duplex, join};

    use super::*;

    const MOST_HELD: usize = 8192;

    /// Sends these pieces one by one; returns the path of each request, with `#` after those that were cut.
    async fn seen(pieces: &[&[u8]]) -> Vec<String> {
        let (mut client, server) = duplex(16);
        let (reads, writes) = tokio::io::split(server);
        let received = ReceivedBytes::new(MOST_HELD);
        let reads = RecordedReads {
            inner: reads,
            received: Arc::clone(&received),
        };
        let seen = StdMutex::new(Vec::new());
        let service = service_fn(|request: Request<Incoming>| {
            let mark = if received.is_cut(request.uri()) {
                "#"
            } else {
                ""
            };
            seen.lock()
                .unwrap()
                .push(format!("{}{mark}", request.uri()));
            async {
                let _ = request.into_body().collect().await;
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let connection = http1::Builder::new()
            .max_buf_size(MOST_HELD)
            .serve_connection(TokioIo::new(join(reads, writes)), service);
        let (mut answers, mut requests) = tokio::io::split(&mut client);
        let sending = async {
            for piece in pieces {
                requests.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            requests.shutdown().await.unwrap();
        };
        let mut ignored = tokio::io::sink();
        let reading = tokio::io::copy(&mut answers, &mut ignored);
        let _ = tokio::join!(connection, sending, reading);
        seen.into_inner().unwrap()
    }

    #[tokio::test]
    async fn a_fragment_is_found_wherever_the_bytes_are_divided() {
        let requests = "GET /a?b HTTP/1.1\r\nhost: a\r\nx: #\r\n\r\n\
            POST /#c HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n/d #e\
            POST /f HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\n/g#h\r\n0\r\n\r\n\
            GET /i#j HTTP/1.1\nhost:a\n\n\
            GET / HTTP/1.1\r\nhost: a\r\nx: /#\r\n\r\n\
            GET http://a#k HTTP/1.1\r\nhost: a\r\n\r\n\
            GET http://a/l#m HTTP/1.1\r\nhost: a\r\n\r\n\
            GET /n HTTP/1.1\r\nhost: a\r\n\r\n";
        let expected = [
            "/a?b",
            "/#",
            "/f",
            "/i#",
            "/",
            "http://a/#",
            "http://a/l#",
            "/n",
        ];
        for cut in 0..requests.len() {
            let (first, second) = requests.as_bytes().split_at(cut);
            assert_eq!(seen(&[first, second]).await, expected, "{cut}");
        }
        let bytes: Vec<_> = requests.as_bytes().chunks(1).collect();
        assert_eq!(seen(&bytes).await, expected);
    }

    #[tokio::test]
    async fn a_fragment_is_found_before_a_head_that_fills_the_buffer_and_after_a_long_body() {
        let long = "# ".repeat(3500);
        let head = format!("GET /a#b HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n");
        let body = format!(
            "POST /c HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{long}{long}{long}",
            3 * long.len()
        );
        let all = [head.as_bytes(), body.as_bytes(), head.as_bytes()].concat();
        for size in [1, 7, 100, 4096, all.len()] {
            let pieces: Vec<_> = all.chunks(size).collect();
            assert_eq!(seen(&pieces).await, ["/a#", "/c", "/a#"], "{size}");
        }
    }

    #[test]
    fn nothing_is_kept_without_need() {
        let received = ReceivedBytes::new(16);
        received.record(b"GET /a HTTP/1.1\r\n", 0);
        assert!(received.kept.lock().bytes.is_empty());
        received.record(b"#", 0);
        for _ in 0..3 {
            received.record(&[b'a'; 16], 0);
            assert!(received.kept.lock().bytes.len() <= 32);
        }
        assert!(received.kept.lock().bytes.is_empty());
    }

    #[test]
    fn the_middle_of_an_upload_is_not_kept_and_its_end_is() {
        let received = ReceivedBytes::new(16);
        let is_kept = |left| {
            received.record(b"#", left);
            received.has_any.load(Ordering::Relaxed)
        };
        for (left, expected) in [
            (1 << 20, false),
            (50, false),
            (49, true),
            (1 << 20, false),
            (0, true),
            (Http1Body::UNKNOWN, true),
        ] {
            assert_eq!(is_kept(left), expected, "{left}");
        }
    }
}
