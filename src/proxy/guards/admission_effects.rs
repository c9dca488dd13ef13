//! Effects of the guards on a request that they admitted: fields from the forward-auth server, and a deadline.

use std::future::Future;
use std::sync::Arc;

use http::header::{HeaderName, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::time::{Instant, timeout_at};

use crate::proxy::body::Body;
use crate::proxy::error::{Error, GuardRefusal};
use crate::upstream::{RequestBody, remove_all_spellings};

/// Fields that the forward-auth server adds to an admitted request and to its response.
#[derive(Debug)]
pub(super) struct Grant {
    /// Fields for the app.
    fields: Vec<(HeaderName, HeaderValue)>,
    /// Cookies for the client. Without them a renewed session would be lost.
    cookies: Vec<HeaderValue>,
}

impl Grant {
    /// Takes the fields called `names` and the cookies from the server's `answer`.
    pub(super) fn new(names: &[HeaderName], answer: &HeaderMap) -> Self {
        let values = |name: &HeaderName| {
            let name = name.clone();
            let values = answer.get_all(&name).iter().cloned();
            let values: Vec<_> = values.map(|value| (name.clone(), value)).collect();
            values
        };
        Self {
            fields: names.iter().flat_map(values).collect(),
            cookies: answer.get_all(SET_COOKIE).iter().cloned().collect(),
        }
    }
}

/// Effects of the guards on the rest of an admitted request.
#[derive(Debug, Default)]
pub(crate) struct AdmissionEffects {
    /// Names of fields that the client cannot set.
    pub(super) reserved: Option<Arc<[HeaderName]>>,
    pub(super) grant: Option<Grant>,
    pub(super) deadline: Option<Instant>,
}

impl AdmissionEffects {
    /// Removes the reserved fields and trailers that the client sent, and sets the fields for the app.
    ///
    /// Call this after the hop-by-hop fields are removed: the client's Connection field must not name the fields set
    /// here.
    pub(crate) fn grant(&self, request: &mut Request<RequestBody>) {
        if let Some(reserved) = &self.reserved {
            request.body_mut().forbid_trailers(reserved);
            remove_all_spellings(request.headers_mut(), reserved);
        }
        for (name, value) in self.grant.iter().flat_map(|grant| &grant.fields) {
            request.headers_mut().append(name, value.clone());
        }
    }

    /// Waits for a response's head until the deadline, and then fails with [`GuardRefusal::RequestTimeout`].
    pub(crate) async fn within<T, E: Into<Error>>(
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

    /// Completes the response: adds the cookies of the forward-auth server, and breaks the body off at the deadline.
    pub(crate) fn complete(self, mut response: Response<Body>) -> Response<Body> {
        for cookie in self.grant.into_iter().flat_map(|grant| grant.cookies) {
            // Appended after the app's cookies: of two with the same name, browsers keep the last.
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        match self.deadline {
            None => response,
            Some(deadline) => response.map(|body| body.until(deadline)),
        }
    }
}
