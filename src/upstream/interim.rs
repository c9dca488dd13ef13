//! What a backend says before its response (RFC 9110 section 15.2).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http::header::LINK;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use super::body::RequestBody;

/// How many interim responses of one request are passed on.
const MOST: usize = 16;
/// What their links may take together.
const MOST_BYTES: usize = 16 * 1024;

/// The interim responses to one request that are on their way to its client. Clones are of the same request.
///
/// Only backends of HTTP/1.1 have any: the library drops those of HTTP/2. A request that is sent again leaves them behind.
#[derive(Clone, Debug, Default)]
pub struct Interims(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    count: usize,
    bytes: usize,
    waiting: Vec<Response<()>>,
    waker: Option<Waker>,
}

impl Interims {
    /// Listens to what the backend says to `request`.
    pub fn listen(&self, request: &mut Request<RequestBody>) {
        request.body_mut().tell(self);
        let interims = self.clone();
        hyper::ext::on_informational(request, move |interim| {
            interims.note(interim.status(), interim.headers());
        });
    }

    /// Takes those that have come since the last look. Whoever looks last is woken by the next one.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Vec<Response<()>>> {
        let mut noted = self.noted();
        if !noted.waiting.is_empty() {
            return Poll::Ready(std::mem::take(&mut noted.waiting));
        }
        match &mut noted.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Notes what the backend says. `100 Continue` and `101 Switching Protocols` are for this proxy alone; of the others' fields,
    /// the client gets the links (RFC 8297 section 2).
    pub(super) fn note(&self, status: StatusCode, headers: &HeaderMap) {
        let mut noted = self.noted();
        let links = headers.get_all(LINK);
        let bytes = links.iter().map(HeaderValue::len).sum::<usize>() + noted.bytes;
        if status.as_u16() <= 101 || noted.count == MOST || bytes > MOST_BYTES {
            return;
        }
        (noted.count, noted.bytes) = (noted.count + 1, bytes);
        let mut response = Response::new(());
        *response.status_mut() = status;
        for link in links {
            // A copy, for the value holds the buffer that it was read into.
            let copy = HeaderValue::from_bytes(link.as_bytes());
            let copy = copy.expect("the copy of a valid value is valid");
            response.headers_mut().append(LINK, copy);
        }
        noted.push(response);
    }

    /// Asks the client for its upload (RFC 9110 section 15.2.1), which happens once.
    pub(super) fn proceed(&self) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        self.noted().push(response);
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
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
            interims.note(StatusCode::from_u16(status).unwrap(), &HeaderMap::new());
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
        interims.note(StatusCode::EARLY_HINTS, &headers);
        let taken = taken(&interims);
        let kept: Vec<_> = taken[0].headers().iter().map(|(_, value)| value).collect();
        assert_eq!(kept, ["</a>", "</b>"]);
    }

    #[test]
    fn a_backend_that_never_stops_is_not_listened_to_for_ever() {
        let small = HeaderMap::from_iter([(LINK, HeaderValue::from_static("x"))]);
        let mut huge = HeaderMap::new();
        huge.insert(LINK, "y".repeat(MOST_BYTES - 1).parse().unwrap());
        for (first, count) in [(&small, MOST), (&huge, 2)] {
            let interims = Interims::default();
            interims.note(StatusCode::EARLY_HINTS, first);
            for _ in 0..100 {
                interims.note(StatusCode::EARLY_HINTS, &small);
            }
            assert_eq!(taken(&interims).len(), count);
            interims.note(StatusCode::EARLY_HINTS, &small);
            assert!(taken(&interims).is_empty());
            // The upload is still asked for.
            interims.proceed();
            assert_eq!(taken(&interims).len(), 1);
        }
    }
}
