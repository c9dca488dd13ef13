//! Interim responses, which a backend sends before its final response (RFC 9110 section 15.2).

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::header::LINK;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use parking_lot::Mutex;

/// Maximum number of interim responses that are passed on for one request.
const MAX_COUNT: usize = 16;
/// Maximum size of their `Link` fields together, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// Interim responses to one request on their way to the client. Clones share them.
///
/// Only HTTP/1.1 backends have any, since hyper drops those of HTTP/2. The copy of a request for a retry has none.
#[derive(Clone, Debug, Default)]
pub struct Interims(Arc<Mutex<Received>>);

#[derive(Debug, Default)]
struct Received {
    count: usize,
    bytes: usize,
    waiting: Vec<Response<()>>,
    waker: Option<Waker>,
}

impl Interims {
    /// Takes the responses that have arrived since the last call. Pending if there are none; the next one then wakes
    /// the task.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Vec<Response<()>>> {
        let mut received = self.0.lock();
        if !received.waiting.is_empty() {
            return Poll::Ready(std::mem::take(&mut received.waiting));
        }
        match &mut received.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Records an interim response, of whose fields the client only gets `Link` (RFC 8297 section 2). Ignores `100
    /// Continue` and `101 Switching Protocols`, which are for the proxy itself.
    pub(in crate::upstream) fn record(&self, status: StatusCode, headers: &HeaderMap) {
        let mut received = self.0.lock();
        let links = headers.get_all(LINK);
        let bytes = links.iter().map(HeaderValue::len).sum::<usize>() + received.bytes;
        if status.as_u16() <= 101 || received.count == MAX_COUNT || bytes > MAX_BYTES {
            return;
        }
        (received.count, received.bytes) = (received.count + 1, bytes);
        let mut response = Response::new(());
        *response.status_mut() = status;
        for link in links {
            // A copy, because the original value keeps the whole read buffer in memory.
            let copy = HeaderValue::from_bytes(link.as_bytes());
            let copy = copy.expect("the copy of a valid value is valid");
            response.headers_mut().append(LINK, copy);
        }
        received.push(response);
    }

    /// Asks the client for its upload with `100 Continue` (RFC 9110 section 15.2.1). Must be called only once.
    pub(super) fn send_continue(&self) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        self.0.lock().push(response);
    }
}

impl Received {
    fn push(&mut self, response: Response<()>) {
        self.waiting.push(response);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(interims: &Interims) -> Vec<Response<()>> {
        match interims.poll_take(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(taken) => taken,
            Poll::Pending => Vec::new(),
        }
    }

    #[test]
    fn responses_for_the_client_are_kept_until_they_are_taken() {
        let interims = Interims::default();
        for status in [100, 101, 102, 103] {
            interims.record(StatusCode::from_u16(status).unwrap(), &HeaderMap::new());
        }
        let statuses: Vec<_> = taken(&interims).iter().map(Response::status).collect();
        assert_eq!(statuses, [StatusCode::PROCESSING, StatusCode::EARLY_HINTS]);
        assert!(taken(&interims).is_empty());
    }

    #[test]
    fn early_hints_keep_only_their_links() {
        let interims = Interims::default();
        let field = |(name, value): (&str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        let fields = [
            ("link", "</a>"),
            ("link", "</b>"),
            ("connection", "x"),
            ("set-cookie", "y"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in fields.map(field) {
            let name: http::HeaderName = name;
            headers.append(name, value);
        }
        interims.record(StatusCode::EARLY_HINTS, &headers);
        let taken = taken(&interims);
        let kept: Vec<_> = taken[0].headers().iter().map(|(_, value)| value).collect();
        assert_eq!(kept, ["</a>", "</b>"]);
    }

    #[test]
    fn the_number_and_size_of_interim_responses_are_limited() {
        let small = HeaderMap::from_iter([(LINK, HeaderValue::from_static("x"))]);
        let mut huge = HeaderMap::new();
        huge.insert(LINK, "y".repeat(MAX_BYTES - 1).parse().unwrap());
        for (first, count) in [(&small, MAX_COUNT), (&huge, 2)] {
            let interims = Interims::default();
            interims.record(StatusCode::EARLY_HINTS, first);
            for _ in 0..100 {
                interims.record(StatusCode::EARLY_HINTS, &small);
            }
            assert_eq!(taken(&interims).len(), count);
            interims.record(StatusCode::EARLY_HINTS, &small);
            assert!(taken(&interims).is_empty());
            // The client can still be asked for its upload.
            interims.send_continue();
            assert_eq!(taken(&interims).len(), 1);
        }
    }
}
