//! The handler that sends every client the same short response.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::proxy::body::Body;

/// Reason why a fixed response is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixedResponseError {
    /// The status is interim or out of range.
    #[error("the status of a response must be a number from 200 to 599")]
    Status,
    /// The status does not allow a body (RFC 9110 section 6.4.1).
    #[error("a response with status 204, 205 or 304 cannot have a body; remove `body`")]
    Body,
    /// The content type has characters that a header must not have.
    #[error(
        "the content type may only have visible ASCII; use a form like `text/html; charset=utf-8`"
    )]
    ContentType,
}

/// A response with a status and a short body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedResponse {
    status: StatusCode,
    body: Box<str>,
    content_type: Box<str>,
}

impl FixedResponse {
    /// Creates the response from a status, a body and a content type.
    pub fn new(status: u16, body: &str, content_type: &str) -> Result<Self, FixedResponseError> {
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| (200..600).contains(&status.as_u16()))
            .ok_or(FixedResponseError::Status)?;
        if is_bodiless(status) && !body.is_empty() {
            return Err(FixedResponseError::Body);
        }
        HeaderValue::from_str(content_type).map_err(|_| FixedResponseError::ContentType)?;
        Ok(Self {
            status,
            body: body.into(),
            content_type: content_type.into(),
        })
    }

    /// Status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Body of the response.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Content type of the body.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// Responds to one request. The body is copied, since all cores would write the reference count of a shared one.
    pub(crate) fn answer(&self, method: &Method) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if is_bodiless(self.status) {
            return response;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        if self.body.is_empty() {
            return response;
        }
        let content_type = HeaderValue::from_str(&self.content_type);
        headers.insert(
            CONTENT_TYPE,
            content_type.expect("it was checked when it was set"),
        );
        if *method != Method::HEAD {
            *response.body_mut() = Body::full(self.body.to_string());
        }
        response
    }
}

fn is_bodiless(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_statuses_and_bodies_that_do_not_fit_are_refused() {
        let error = |status, body, content_type| {
            FixedResponse::new(status, body, content_type).unwrap_err()
        };
        for status in [0, 99, 101, 199, 600, 999] {
            assert_eq!(error(status, "", "a/b"), FixedResponseError::Status);
        }
        assert_eq!(error(204, "x", "a/b"), FixedResponseError::Body);
        assert_eq!(error(200, "x", "a\nb"), FixedResponseError::ContentType);
    }

    #[test]
    fn a_head_request_gets_the_head_of_the_response() {
        let answer = FixedResponse::new(410, "gone", "text/plain").unwrap();
        for (method, is_empty) in [(Method::GET, false), (Method::HEAD, true)] {
            let response = answer.answer(&method);
            assert_eq!(response.status(), 410);
            assert_eq!(response.headers()["content-length"], "4");
            assert_eq!(response.headers()["content-type"], "text/plain");
            assert_eq!(http_body::Body::is_end_stream(response.body()), is_empty);
        }
    }
}
