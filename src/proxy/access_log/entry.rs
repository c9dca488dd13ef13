//! The record of one request, which becomes a line when it is dropped.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body::Frame;
use tokio::time::Instant;

use super::format;
use super::log::Lane;
use crate::proxy::error::Reason;
use crate::proxy::request::ConnInfo;
use crate::upstream::BodyError;

/// The status of a request whose client left before there was an answer.
const CLIENT_LEFT: u16 = 499;

/// One request under way. It is written when it is dropped: with the response's body, with the tunnel that the request
/// became, or with the request itself where its client did not wait.
#[derive(Debug)]
pub(in crate::proxy) struct Entry {
    lane: Arc<Lane>,
    began: Instant,
    asked: Asked,
    outcome: Outcome,
    is_silent: bool,
}

/// What is known when a request comes. Its texts lie in memory of their own, so that no head is kept for a log line, and
/// no field is among them that could hold a credential.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) time: SystemTime,
    pub(super) client: SocketAddr,
    pub(super) version: Version,
    pub(super) texts: Vec<u8>,
    ends: [usize; 5],
    is_head: bool,
}

/// What has become of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) status: Option<StatusCode>,
    pub(super) sent: u64,
    pub(super) first_byte: Option<Duration>,
    pub(super) duration: Duration,
    pub(super) upstream: Option<String>,
    pub(super) request_id: Option<HeaderValue>,
    pub(super) reason: Option<&'static str>,
    is_whole: bool,
}

impl Asked {
    fn new<B>(request: &Request<B>, conn: &ConnInfo, has_query: bool) -> Self {
        let uri = request.uri();
        let cut = |text: &[u8]| match has_query {
            true => text.len(),
            false => text
                .iter()
                .position(|byte| *byte == b'?')
                .unwrap_or(text.len()),
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
            client: conn.speaker(request.headers()),
            version: request.version(),
            texts,
            ends,
            is_head: request.method() == Method::HEAD,
        }
    }

    /// Of a request of which nothing is known but whose connection it came on.
    fn unread(conn: &ConnInfo, version: Version) -> Self {
        Self {
            time: SystemTime::now(),
            client: conn.client,
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

/// A host without what stands before its `@`, which may be a password.
fn without_user(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|byte| *byte == b'@') {
        Some(at) => &host[at + 1..],
        None => host,
    }
}

impl Outcome {
    pub(super) fn shown_status(&self) -> u16 {
        self.status.map_or(CLIENT_LEFT, |status| status.as_u16())
    }

    /// Whether the client went before all was sent to it.
    pub(super) fn has_client_left(&self) -> bool {
        self.status.is_none() || !self.is_whole
    }
}

impl Entry {
    pub(super) fn new<B>(lane: Arc<Lane>, request: &Request<B>, conn: &ConnInfo) -> Self {
        let asked = Asked::new(request, conn, lane.has_query());
        Self::of(lane, asked)
    }

    pub(super) fn unread(lane: Arc<Lane>, conn: &ConnInfo, version: Version) -> Self {
        Self::of(lane, Asked::unread(conn, version))
    }

    fn of(lane: Arc<Lane>, asked: Asked) -> Self {
        Self {
            began: Instant::now(),
            asked,
            outcome: Outcome::default(),
            is_silent: false,
            lane,
        }
    }

    /// Lets no line be written.
    pub(in crate::proxy) fn silence(&mut self) {
        self.is_silent = true;
    }

    /// The id that the request goes by.
    pub(in crate::proxy) fn identified(&mut self, id: HeaderValue) {
        self.outcome.request_id = Some(id);
    }

    /// The backend that has had the request.
    pub(in crate::proxy) fn sent_to(&mut self, upstream: impl ToString) {
        self.outcome.upstream = Some(upstream.to_string());
    }

    /// Why the request is answered by the proxy itself.
    pub(in crate::proxy) fn refused(&mut self, reason: Reason) {
        self.outcome.reason = Some(reason.word());
    }

    /// The response's head goes to the client.
    pub(in crate::proxy) fn answered(&mut self, status: StatusCode, has_body: bool) {
        self.outcome.status = Some(status);
        self.outcome.first_byte = Some(self.began.elapsed());
        self.outcome.is_whole = !has_body || self.asked.is_head;
    }

    /// What the response's body brings, and whether that was all.
    pub(in crate::proxy) fn passed(
        &mut self,
        frame: Option<&Result<Frame<Bytes>, BodyError>>,
        is_end: bool,
    ) {
        match frame {
            Some(Ok(frame)) => {
                self.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
                self.outcome.is_whole |= is_end;
            }
            // Not the client that has left.
            Some(Err(error)) => {
                self.refused(Reason::of_body(error));
                self.outcome.is_whole = true;
            }
            None => self.outcome.is_whole = true,
        }
    }

    /// So many bytes more were sent.
    pub(in crate::proxy) fn sent(&mut self, bytes: u64) {
        self.outcome.sent += bytes;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.is_silent {
            return;
        }
        self.outcome.duration = self.began.elapsed();
        let line = format::line(self.lane.format(), &self.asked, &self.outcome);
        self.lane.send(line);
    }
}
