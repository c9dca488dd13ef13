//! Interim responses, which a backend sends before its response (RFC 9110 section 15.2).

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::header::LINK;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use parking_lot::Mutex;

/// Number of interim responses of one request that are passed on.
const MAX_COUNT: usize = 16;
/// Size of their links together.
const MAX_BYTES: usize = 16 * 1024;

/// The interim responses to one request that are on their way to its client. Clones are of the same request.
///
/// Only backends of HTTP/1.1 have any: the library drops those of HTTP/2. A request that is sent again leaves them behind.
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
    /// Takes those that have arrived since the last call. The next one wakes the task that called last.
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

    /// Records an interim response. `100 Continue` and `101 Switching Protocols` are for this proxy alone; of the others' fields,
    /// the client gets the links (RFC 8297 section 2).
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
            // A copy, for the value holds the buffer that it was read into.
            let copy = HeaderValue::from_bytes(link.as_bytes());
            let copy = copy.expect("the copy of a valid value is valid");
            response.headers_mut().append(LINK, copy);
        }
        received.push(response);
    }

    /// Asks the client for its upload (RFC 9110 section 15.2.1). Called once.
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
    fn what_is_for_the_client_is_kept_until_it_is_taken() {
        let interims = Interims::default();
        for status in [100, 101, 102, 103] {
            interims.record(StatusCode::from_u16(status).unwrap(), &HeaderMap::new());
        }
        let statuses: Vec<_> = taken(&interims).iter().map(Response::status).collect();
        assert_eq!(statuses, [StatusCode::PROCESSING, StatusCode::EARLY_HINTS]);
        assert!(taken(&interims).is_empty());
    }

    #[test]
    fn a_hint_has_its_links_and_nothing_else() {
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
    fn a_backend_that_never_stops_is_not_listened_to_for_ever() {
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
            // The upload is still asked for.
            interims.send_continue();
            assert_eq!(taken(&interims).len(), 1);
        }
    }
}
