//! The proxy's responses to refused and failed requests: short pages that name nothing internal.

use std::net::SocketAddr;

use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use tracing::debug;

use crate::name::HostPattern;
use crate::proxy::body::Body;
use crate::proxy::error::{Error, FailedRequest, FailureLog, GuardRefusal};
use crate::upstream;

/// Status and text for one kind of error.
struct RefusalPage {
    status: StatusCode,
    text: &'static str,
    /// Whether an HTTP/1 connection is closed, because its framing is uncertain or the client does not keep to it.
    is_last: bool,
}

/// The facts about a refused request that its response and its log line need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusedRequest<'r> {
    pub(crate) version: Version,
    /// Host of the request; empty if it is not known.
    pub(crate) host: &'r str,
    /// Site of the host, if there is one.
    pub(crate) site: Option<&'r HostPattern>,
    pub(crate) client: SocketAddr,
    pub(crate) accepts_html: bool,
}

/// Builds the response to a request that failed with `error`, and logs it.
pub(crate) fn refusal(
    error: &Error,
    request: RefusedRequest<'_>,
    failures: &FailureLog,
) -> Response<Body> {
    let page = page(error);
    let client = request.client;
    if is_backend(error) {
        let failed = FailedRequest {
            host: request.host,
            site: request.site,
            client,
            status: page.status,
        };
        failures.note(error, failed);
    } else {
        let status = page.status.as_u16();
        let error = error as &dyn std::error::Error;
        debug!(client.addr = %client, status, error, "request refused");
    }
    let is_html = request.accepts_html && page.has_html();
    let (content_type, body) = if is_html {
        ("text/html; charset=utf-8", Body::full(page.html()))
    } else {
        ("text/plain; charset=utf-8", Body::full(page.text))
    };
    let mut response = Response::new(body);
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if page.has_html() {
        headers.insert(VARY, HeaderValue::from_static("accept"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if page.status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = match error {
            Error::FileMethod => "GET, HEAD",
            _ => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        };
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    if let Error::Guard(refusal) = error {
        add_guard_fields(refusal, headers);
    }
    if matches!(error, Error::Upstream(error) if error.is_overload()) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if page.is_last && request.version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Adds the fields that tell the client how or when to try again.
fn add_guard_fields(refusal: &GuardRefusal, headers: &mut HeaderMap) {
    match refusal {
        GuardRefusal::Unauthorized { challenge } => {
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        GuardRefusal::RateLimited { retry_after } => {
            // Rounded up, or the client would try again too early.
            let seconds = retry_after.as_nanos().div_ceil(1_000_000_000);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        GuardRefusal::PasswordsBusy => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        GuardRefusal::Network
        | GuardRefusal::NoClientCertificate
        | GuardRefusal::ForwardAuth(_)
        | GuardRefusal::ForwardAuthSwitched
        | GuardRefusal::BodyTooLarge
        | GuardRefusal::RequestTimeout => {}
    }
}

/// `true` if a backend or a file failed, which the operator must see, and not the client was wrong.
fn is_backend(error: &Error) -> bool {
    match error {
        Error::Upstream(error) => !error.is_client(),
        Error::Guard(refusal) => refusal.is_backend(),
        Error::ResponseFraming | Error::NoWebSocket | Error::UnaskedUpgrade | Error::File(_) => {
            true
        }
        Error::TransferEncoding
        | Error::ContentLength
        | Error::Target
        | Error::Connect
        | Error::TooManyFields
        | Error::HeadTooLarge
        | Error::Host
        | Error::UnknownHost
        | Error::OtherListener
        | Error::NoRoute
        | Error::AmbiguousPath
        | Error::Destination
        | Error::FileMethod
        | Error::NoFile
        | Error::Misdirected
        | Error::Maintenance => false,
    }
}

fn page(error: &Error) -> RefusalPage {
    match error {
        Error::TransferEncoding => {
            RefusalPage::last(501, "The request's transfer coding is not supported.\n")
        }
        Error::ContentLength => RefusalPage::last(400, "The request's length is malformed.\n"),
        Error::Target => RefusalPage::last(400, "The request's target is malformed.\n"),
        Error::Host => RefusalPage::last(400, "The request does not name one valid host.\n"),
        Error::Connect => RefusalPage::last(405, METHOD),
        Error::FileMethod => RefusalPage::new(405, METHOD),
        Error::TooManyFields => RefusalPage::last(431, "The request has too many header fields.\n"),
        Error::HeadTooLarge => RefusalPage::last(431, "The request's head is too large.\n"),
        // The same for both, so that nobody learns which hosts other listeners serve.
        Error::UnknownHost | Error::OtherListener => {
            RefusalPage::new(421, "This host is not served here.\n")
        }
        Error::Misdirected => {
            RefusalPage::new(421, "This host is not served on this connection.\n")
        }
        Error::AmbiguousPath => RefusalPage::new(
            400,
            "The request's path can be read in more than one way.\n",
        ),
        Error::Destination => RefusalPage::new(
            403,
            "The request's Destination is not in the same place as its target.\n",
        ),
        Error::NoRoute | Error::NoFile => {
            RefusalPage::new(404, "There is nothing at this address.\n")
        }
        Error::File(_) => RefusalPage::new(500, "This page cannot be read just now.\n"),
        Error::Guard(refusal) => guard_page(refusal),
        Error::Maintenance => RefusalPage::new(
            503,
            "This site is under maintenance. Please come again later.\n",
        ),
        Error::Upstream(error) => upstream_page(error),
        Error::ResponseFraming | Error::NoWebSocket | Error::UnaskedUpgrade => {
            RefusalPage::new(502, BAD_GATEWAY)
        }
    }
}

fn guard_page(refusal: &GuardRefusal) -> RefusalPage {
    match refusal {
        GuardRefusal::Network => RefusalPage::new(403, "Your network may not use this site.\n"),
        GuardRefusal::NoClientCertificate => {
            RefusalPage::new(403, "This page needs a client certificate.\n")
        }
        GuardRefusal::RateLimited { .. } => RefusalPage::new(
            429,
            "Too many requests; wait a moment before the next one.\n",
        ),
        GuardRefusal::Unauthorized { .. } => {
            RefusalPage::new(401, "This site needs a name and a password.\n")
        }
        GuardRefusal::PasswordsBusy => RefusalPage::new(
            503,
            "Too many people are logging in; try again in a moment.\n",
        ),
        GuardRefusal::BodyTooLarge => RefusalPage::last(413, TOO_LARGE),
        GuardRefusal::RequestTimeout => {
            RefusalPage::new(504, "The request took longer than this site allows.\n")
        }
        GuardRefusal::ForwardAuth(_) | GuardRefusal::ForwardAuthSwitched => RefusalPage::new(
            503,
            "Your access to this site cannot be checked now; try again in a moment.\n",
        ),
    }
}

const METHOD: &str = "This method is not allowed here.\n";
const TOO_LARGE: &str = "The request's body is larger than this site allows.\n";
const BAD_GATEWAY: &str = "The backend of this site gave no valid response.\n";
const BUSY: &str = "The backend of this site is busy. Please try again.\n";
const LATE: &str = "The backend of this site did not respond in time.\n";

fn upstream_page(error: &upstream::Error) -> RefusalPage {
    match error {
        upstream::Error::NoBackend
        | upstream::Error::NoHealthyBackend
        | upstream::Error::ConnectionLimit => {
            RefusalPage::new(503, "No backend of this site is ready.\n")
        }
        upstream::Error::QueueFull
        | upstream::Error::QueueTimeout
        | upstream::Error::BufferFull
        | upstream::Error::ClientShare => RefusalPage::new(503, BUSY),
        upstream::Error::Resolve { .. }
        | upstream::Error::Connect { .. }
        | upstream::Error::Certificate { .. }
        | upstream::Error::Handshake { .. }
        | upstream::Error::NoUpgrade { .. }
        | upstream::Error::Refused { .. }
        | upstream::Error::Reset { .. }
        | upstream::Error::EarlySwitch { .. }
        | upstream::Error::NoAnswer { .. }
        | upstream::Error::TlsPort { .. }
        | upstream::Error::ResponseFraming { .. }
        | upstream::Error::ResponseHeadTooLarge { .. }
        | upstream::Error::Exchange { .. } => RefusalPage::new(502, BAD_GATEWAY),
        upstream::Error::Loop { .. } => RefusalPage::new(508, BAD_GATEWAY),
        upstream::Error::ConnectTimeout { .. } | upstream::Error::ResponseTimeout { .. } => {
            RefusalPage::new(504, LATE)
        }
        upstream::Error::RequestStalled => {
            RefusalPage::last(408, "The request's body did not arrive in time.\n")
        }
        upstream::Error::RequestTooLarge => RefusalPage::last(413, TOO_LARGE),
        upstream::Error::RequestBroken(_) => {
            RefusalPage::last(400, "The request's body is malformed.\n")
        }
    }
}

impl RefusalPage {
    fn new(status: u16, text: &'static str) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("the table has valid statuses"),
            text,
            is_last: false,
        }
    }

    fn last(status: u16, text: &'static str) -> Self {
        Self {
            is_last: true,
            ..Self::new(status, text)
        }
    }

    /// `true` if browsers get the text as a page: people see these errors in the middle of their work.
    fn has_html(&self) -> bool {
        matches!(self.status.as_u16(), 502..=504)
    }

    fn html(&self) -> String {
        let Self { status, text, .. } = self;
        let text = text.trim_end();
        format!(
            "<!DOCTYPE html>\n\
             <html lang=\"en\">\n\
             <meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>{status}</title>\n\
             <style>body {{ font: 1.1em/1.5 sans-serif; max-width: 32em; margin: 15vh auto; padding: 0 1em }}</style>\n\
             <h1>{status}</h1>\n\
             <p>{text}</p>\n\
             </html>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn answer(error: &Error, version: Version) -> Response<Body> {
        answer_to_client(error, version, false)
    }

    fn answer_to_client(error: &Error, version: Version, accepts_html: bool) -> Response<Body> {
        let request = RefusedRequest {
            version,
            host: "app.example.org",
            site: None,
            client: "192.0.2.7:40000".parse().unwrap(),
            accepts_html,
        };
        refusal(error, request, &FailureLog::default())
    }

    #[test]
    fn only_a_failure_of_the_backend_is_a_page_and_only_where_the_client_accepts_it() {
        for (error, accepts_html, content_type) in [
            (
                upstream::Error::NoBackend.into(),
                true,
                "text/html; charset=utf-8",
            ),
            (
                upstream::Error::NoBackend.into(),
                false,
                "text/plain; charset=utf-8",
            ),
            (Error::NoRoute, true, "text/plain; charset=utf-8"),
        ] {
            let response = answer_to_client(&error, Version::HTTP_11, accepts_html);
            let found = &response.headers()[CONTENT_TYPE];
            assert_eq!(found, content_type, "{error} {accepts_html}");
        }
    }

    fn backend() -> upstream::Address {
        upstream::Address::parse("10.0.0.1:3000").unwrap()
    }

    #[test]
    fn each_error_of_the_request_has_its_status() {
        let source = || io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, status) in [
            (Error::TransferEncoding, 501),
            (Error::ContentLength, 400),
            (Error::Target, 400),
            (Error::Host, 400),
            (Error::Connect, 405),
            (Error::TooManyFields, 431),
            (Error::HeadTooLarge, 431),
            (Error::UnknownHost, 421),
            (Error::Misdirected, 421),
            (Error::NoRoute, 404),
            (Error::AmbiguousPath, 400),
            (Error::Destination, 403),
            (Error::FileMethod, 405),
            (Error::NoFile, 404),
            (Error::File(source()), 500),
            (Error::Maintenance, 503),
            (Error::ResponseFraming, 502),
            (Error::UnaskedUpgrade, 502),
            (Error::NoWebSocket, 502),
            (GuardRefusal::Network.into(), 403),
            (GuardRefusal::NoClientCertificate.into(), 403),
            (GuardRefusal::PasswordsBusy.into(), 503),
            (
                GuardRefusal::ForwardAuth(upstream::Error::NoBackend).into(),
                503,
            ),
            (GuardRefusal::ForwardAuthSwitched.into(), 503),
            (GuardRefusal::BodyTooLarge.into(), 413),
            (GuardRefusal::RequestTimeout.into(), 504),
        ] {
            assert_eq!(answer(&error, Version::HTTP_11).status(), status, "{error}");
        }
    }

    #[test]
    fn each_error_of_the_upstream_has_its_status() {
        let source = || io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, status) in [
            (upstream::Error::NoBackend.into(), 503),
            (upstream::Error::NoHealthyBackend.into(), 503),
            (upstream::Error::QueueFull.into(), 503),
            (upstream::Error::QueueTimeout.into(), 503),
            (
                upstream::Error::Resolve {
                    backend: backend(),
                    source: source(),
                }
                .into(),
                502,
            ),
            (
                upstream::Error::Connect {
                    backend: backend(),
                    source: source(),
                }
                .into(),
                502,
            ),
            (upstream::Error::Loop { backend: backend() }.into(), 508),
            (
                upstream::Error::ConnectTimeout { backend: backend() }.into(),
                504,
            ),
            (
                upstream::Error::ResponseTimeout { backend: backend() }.into(),
                504,
            ),
            (upstream::Error::RequestStalled.into(), 408),
            (upstream::Error::RequestTooLarge.into(), 413),
        ] {
            assert_eq!(answer(&error, Version::HTTP_11).status(), status, "{error}");
        }
    }

    #[test]
    fn clients_that_may_retry_learn_how_and_when() {
        for error in [upstream::Error::QueueFull, upstream::Error::ConnectionLimit] {
            let busy = answer(&error.into(), Version::HTTP_11);
            assert_eq!(
                (busy.status().as_u16(), &busy.headers()[RETRY_AFTER]),
                (503, &HeaderValue::from_static("1"))
            );
        }
        let challenge = HeaderValue::from_static("Basic realm=\"a\"");
        let answer_to = |error: &Error| answer(error, Version::HTTP_11);
        let asked = answer_to(&GuardRefusal::Unauthorized { challenge }.into());
        assert_eq!(asked.status(), 401);
        assert_eq!(asked.headers()[WWW_AUTHENTICATE], "Basic realm=\"a\"");
        for (millis, seconds) in [(1, "1"), (1000, "1"), (1001, "2")] {
            let retry_after = std::time::Duration::from_millis(millis);
            let limited = answer_to(&GuardRefusal::RateLimited { retry_after }.into());
            assert_eq!(limited.status(), 429);
            assert_eq!(limited.headers()[RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn the_connection_is_closed_if_its_framing_is_uncertain() {
        let closes =
            |error: &Error, version| answer(error, version).headers().contains_key(CONNECTION);
        assert!(closes(&Error::ContentLength, Version::HTTP_11));
        assert!(closes(&Error::TransferEncoding, Version::HTTP_10));
        assert!(!closes(&Error::ContentLength, Version::HTTP_2));
        assert!(!closes(&Error::UnknownHost, Version::HTTP_11));
    }
}
