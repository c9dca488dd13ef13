//! What a site adds to its requests beyond forwarding them.

use http::{HeaderValue, Response};

use super::access_log::Entry;
use super::body::Body;
use super::request_id::{REQUEST_ID, RequestIds};

/// What a site adds to its requests beyond forwarding them, as the configuration says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComfortOptions {
    /// Whether the access log has a line for each request.
    pub access_log: bool,
    /// Whether backend and client are told an id of the request.
    pub request_id: bool,
}

impl Default for ComfortOptions {
    fn default() -> Self {
        Self {
            access_log: true,
            request_id: false,
        }
    }
}

/// The same, ready for requests.
#[derive(Debug)]
pub struct Comforts {
    pub(super) is_logged: bool,
    pub(super) has_request_id: bool,
}

impl Comforts {
    /// Those of `options`. `None` where a request needs nothing of them.
    #[must_use]
    pub fn new(options: &ComfortOptions) -> Option<Box<Self>> {
        if *options == ComfortOptions::default() {
            return None;
        }
        Some(Box::new(Self {
            is_logged: options.access_log,
            has_request_id: options.request_id,
        }))
    }

    /// What is to be done with the response of a request that begins.
    pub(super) fn wish(&self, ids: &RequestIds, entry: &mut Option<Box<Entry>>) -> Wish {
        if !self.is_logged
            && let Some(mut entry) = entry.take()
        {
            entry.silence();
        }
        let request_id = self.has_request_id.then(|| ids.next());
        if let (Some(id), Some(entry)) = (&request_id, entry) {
            entry.identified(id.clone());
        }
        Wish { request_id }
    }

    /// Does it.
    pub(super) fn dress(&self, mut response: Response<Body>, wish: Wish) -> Response<Body> {
        if let Some(id) = wish.request_id {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

/// What one request asks of its site's comforts.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) request_id: Option<HeaderValue>,
}
