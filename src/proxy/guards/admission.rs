//! What a request that was let in takes along.

use std::future::Future;
use std::sync::Arc;

use http::header::{HeaderName, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::time::{Instant, timeout_at};

use crate::proxy::body::Body;
use crate::proxy::error::{Error, GuardRefusal};
use crate::upstream::{RequestBody, remove_aliases};

/// What whoever let the request in gives to it.
#[derive(Debug)]
pub(super) struct Grant {
    names: Arc<[HeaderName]>,
    /// For the app.
    fields: Vec<(HeaderName, HeaderValue)>,
    /// For the client: a session that was renewed would be lost without them.
    cookies: Vec<HeaderValue>,
}

impl Grant {
    /// Those of `names` that are among `answer`, and its cookies.
    pub(super) fn new(names: Arc<[HeaderName]>, answer: &HeaderMap) -> Self {
        let values = |name: &HeaderName| {
            let name = name.clone();
            let values = answer.get_all(&name).iter().cloned();
            let values: Vec<_> = values.map(|value| (name.clone(), value)).collect();
            values
        };
        Self {
            fields: names.iter().flat_map(values).collect(),
            cookies: answer.get_all(SET_COOKIE).iter().cloned().collect(),
            names,
        }
    }
}

/// The rest of a request's way, once it was let in.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Admission {
    pub(super) grant: Option<Grant>,
    pub(super) deadline: Option<Instant>,
}

impl Admission {
    /// Sets the fields that the app gets, and nothing of the same name that the client sent.
    ///
    /// Runs after the hop-by-hop fields are gone, so that no Connection can name what is set here.
    pub(in crate::proxy) fn grant(&self, request: &mut Request<RequestBody>) {
        let Some(grant) = &self.grant else { return };
        request.body_mut().forbid_trailers(&grant.names);
        let headers = request.headers_mut();
        remove_aliases(headers, &grant.names);
        for (name, value) in &grant.fields {
            headers.append(name, value.clone());
        }
    }

    /// Waits for a response's head as long as the request may take.
    pub(in crate::proxy) async fn within<T, E: Into<Error>>(
        &self,
        exchange: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error> {
        match self.deadline {
            None => exchange.await.map_err(Into::into),
            Some(deadline) => timeout_at(deadline, exchange)
                .await
                .map_err(|_| GuardRefusal::RequestTimeout)?
                .map_err(Into::into),
        }
    }

    /// The response with what the client gets from whoever let its request in, and with a body that breaks off when the
    /// request has taken too long.
    pub(in crate::proxy) fn complete(self, mut response: Response<Body>) -> Response<Body> {
        for cookie in self.grant.into_iter().flat_map(|grant| grant.cookies) {
            // After those of the app: of two with one name, browsers keep the last.
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        match self.deadline {
            None => response,
            Some(deadline) => response.map(|body| body.until(deadline)),
        }
    }
}
