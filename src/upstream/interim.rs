//! What a backend says before its response (RFC 9110 section 15.2).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};

use super::body::RequestBody;
use super::trailers;

/// How many interim responses of one request are passed on.
const MOST: usize = 16;

/// The interim responses to one request that are on their way to its client. Clones are of the same request.
///
/// Only backends of HTTP/1.1 have any: the library drops those of HTTP/2. A request that is sent again leaves them behind.
#[derive(Clone, Debug, Default)]
pub struct Interims(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    count: usize,
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

    /// Notes what the backend says. `100 Continue` and `101 Switching Protocols` are for this proxy alone.
    pub(super) fn note(&self, status: StatusCode, headers: &HeaderMap) {
        if status.as_u16() <= 101 {
            return;
        }
        let mut response = Response::new(());
        *response.status_mut() = status;
        // Copies, for the values hold the buffer that they were read into.
        let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        let fields = headers.iter().filter(|(name, _)| !is_named(headers, name));
        let fields = fields.filter_map(|(name, value)| Some((name.clone(), copy(value)?)));
        response.headers_mut().extend(fields);
        trailers::clean(response.headers_mut());
        self.push(response);
    }

    /// Asks the client for its upload (RFC 9110 section 15.2.1).
    pub(super) fn proceed(&self) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONTINUE;
        self.push(response);
    }

    fn push(&self, response: Response<()>) {
        let mut noted = self.noted();
        if noted.count == MOST {
            return;
        }
        noted.count += 1;
        noted.waiting.push(response);
        if let Some(waker) = noted.waker.take() {
            waker.wake();
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the field is for the next hop alone (RFC 9110 section 7.6.1).
fn is_named(headers: &HeaderMap, name: &HeaderName) -> bool {
    let mut values = headers.get_all(CONNECTION).iter();
    values.any(|value| {
        let mut tokens = value.as_bytes().split(|byte| *byte == b',');
        tokens.any(|token| {
            let token = token.trim_ascii();
            token.eq_ignore_ascii_case(name.as_str().as_bytes())
        })
    })
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
    fn a_hint_has_nothing_that_concerns_the_connection() {
        let interims = Interims::default();
        let field = |name: &str| (name.parse().unwrap(), "x".parse().unwrap());
        let names = ["link", "connection", "keep-alive", "transfer-encoding"];
        interims.note(
            StatusCode::EARLY_HINTS,
            &names.into_iter().map(field).collect(),
        );
        let taken = taken(&interims);
        let kept: Vec<_> = taken[0].headers().keys().collect();
        assert_eq!(kept, ["link"]);
    }

    #[test]
    fn a_backend_that_never_stops_is_not_listened_to_for_ever() {
        let interims = Interims::default();
        for _ in 0..100 {
            interims.note(StatusCode::EARLY_HINTS, &HeaderMap::new());
        }
        assert_eq!(taken(&interims).len(), MOST);
        interims.note(StatusCode::EARLY_HINTS, &HeaderMap::new());
        assert!(taken(&interims).is_empty());
    }
}
