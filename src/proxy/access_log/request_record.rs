//! The facts of a request's head for its access log line.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::SystemTime;

use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderValue, Method, Request, Version};

/// Facts of a request's head. Texts are copied, so that a log line keeps no head in memory. No field that could hold a
/// credential is among them.
#[derive(Debug)]
pub(super) struct RequestRecord {
    pub(super) time: SystemTime,
    pub(super) client: SocketAddr,
    pub(super) version: Version,
    pub(super) texts: Vec<u8>,
    ends: [usize; 5],
    pub(super) is_head: bool,
}

impl RequestRecord {
    pub(super) fn new<B>(request: &Request<B>, client: SocketAddr, has_query: bool) -> Self {
        let uri = request.uri();
        let cut = |text: &[u8]| {
            let query = text.iter().position(|byte| *byte == b'?');
            query.filter(|_| !has_query).unwrap_or(text.len())
        };
        let field = |name| {
            request
                .headers()
                .get(name)
                .map_or(&b""[..], HeaderValue::as_bytes)
        };
        let host = match uri.authority() {
            Some(authority) => authority.as_str().as_bytes(),
            None => field(HOST),
        };
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let (path, referer) = (path.as_bytes(), field(REFERER));
        let parts = [
            request.method().as_str().as_bytes(),
            without_user(host),
            &path[..cut(path)],
            &referer[..cut(referer)],
            field(USER_AGENT),
        ];
        let mut texts = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        let ends = parts.map(|part| {
            texts.extend_from_slice(part);
            texts.len()
        });
        Self {
            time: SystemTime::now(),
            client,
            version: request.version(),
            texts,
            ends,
            is_head: request.method() == Method::HEAD,
        }
    }

    /// Creates the record of a request that could not be parsed: only its connection is known.
    pub(super) fn unreadable(client: SocketAddr, version: Version) -> Self {
        Self {
            time: SystemTime::now(),
            client,
            version,
            texts: Vec::new(),
            ends: [0; 5],
            is_head: false,
        }
    }

    fn part(&self, range: Range<usize>) -> &[u8] {
        &self.texts[range]
    }

    pub(super) fn method(&self) -> &[u8] {
        self.part(0..self.ends[0])
    }

    pub(super) fn host(&self) -> &[u8] {
        self.part(self.ends[0]..self.ends[1])
    }

    pub(super) fn path(&self) -> &[u8] {
        self.part(self.ends[1]..self.ends[2])
    }

    pub(super) fn referer(&self) -> &[u8] {
        self.part(self.ends[2]..self.ends[3])
    }

    pub(super) fn user_agent(&self) -> &[u8] {
        self.part(self.ends[3]..self.ends[4])
    }
}

/// Cuts off the part of a host before `@`, which may hold a password.
fn without_user(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|byte| *byte == b'@') {
        Some(at) => &host[at + 1..],
        None => host,
    }
}
