//! Decision whether a request may be sent again after an attempt that failed, and where.

use http::Request;
use tokio::time::Instant;
use tracing::debug;

use super::attempt::{Attempts, FailedAttempt};
use super::retry_budget::RetryBudget;
use super::selected_backend::Selected;
use crate::upstream::body::RequestBody;
use crate::upstream::error::Error;
use crate::upstream::exchange::Failure;

/// Bounds of the retries of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryLimits<'a> {
    /// Maximum number of retries of one request at other backends.
    pub(super) max_retries: u16,
    pub(super) budget: &'a RetryBudget,
}

/// Next step with a request that may be sent again.
#[derive(Debug)]
pub(super) enum Retry {
    /// Sends it to the same backend on a new connection.
    NewConnection(Request<RequestBody>, Selected),
    /// Sends it to another backend. If none takes it, it fails with the error of the last attempt.
    OtherBackend(Request<RequestBody>, Error),
}

impl Retry {
    /// Decides what follows a failed attempt, and records the failure at its backend. Returns the error of the attempt
    /// if the request must not be sent again.
    pub(super) fn after(
        failed: FailedAttempt,
        attempts: &mut Attempts<'_>,
        limits: RetryLimits<'_>,
    ) -> Result<Self, Error> {
        let backend = failed.backend;
        let Failure {
            error,
            unsent,
            is_unprocessed,
            is_silent,
            needs_http1,
            in_flight,
        } = failed.failure;
        if let Some(spans) = attempts.spans() {
            spans.failed(&error);
        }
        if error.is_client() {
            return Err(error);
        }
        let is_untouched = is_silent || is_unprocessed;
        // The backend may have closed an idle connection just now, which is not a failure.
        let is_stale = needs_http1 || (failed.is_reused && is_untouched);
        let worker = attempts.selection.caller.worker;
        if !is_stale {
            attempts.backends.count_failure(backend, worker, &error);
            attempts.backends.record_failure(backend);
        }
        let Some(request) = unsent.or_else(|| failed.copy.filter(|_| is_untouched)) else {
            return Err(error);
        };
        if is_stale {
            // Other idle connections may have been closed too, so this attempt needs a new one.
            attempts.backends.count_retry(backend, worker);
            let selected = Selected { backend, in_flight };
            return Ok(Self::NewConnection(request, selected));
        }
        drop(in_flight);
        attempts.selection.tried.push(backend);
        if !attempts.may_try_another() || !limits.allow(attempts, is_unprocessed) {
            return Err(error);
        }
        attempts.retries += 1;
        attempts.backends.count_retry(backend, worker);
        debug!(
            error = &error as &dyn std::error::Error,
            "attempt failed; trying another backend"
        );
        Ok(Self::OtherBackend(request, error))
    }
}

impl RetryLimits<'_> {
    /// `true` if a request may be sent to another backend. A request that was not processed takes nothing from the
    /// budget.
    fn allow(self, attempts: &Attempts<'_>, is_unprocessed: bool) -> bool {
        is_unprocessed || (attempts.retries < self.max_retries && self.budget.take(Instant::now()))
    }
}

/// Copies a request if it may be sent twice: if it has no body and an idempotent method (RFC 9110 section 9.2.2).
pub(super) fn repeatable_copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let is_idempotent = request.method().is_idempotent();
    is_idempotent
        .then(|| RequestBody::copy_if_empty(request))
        .flatten()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn request(method: Method) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::empty());
        *request.method_mut() = method;
        request
    }

    #[test]
    fn only_requests_with_idempotent_methods_are_copied() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert!(
                repeatable_copy(&request(method.clone())).is_some(),
                "{method}"
            );
        }
        for method in ["POST", "PATCH", "CONNECT", "PROPFIND", "get"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert!(
                repeatable_copy(&request(method.clone())).is_none(),
                "{method}"
            );
        }
    }
}
