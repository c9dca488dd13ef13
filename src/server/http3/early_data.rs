//! Requests that a client sends within the handshake (0-RTT, RFC 8470). Whoever has recorded them could send them again, so only
//! those that change nothing run before the handshake is complete. The backend is told.

use http::header::HeaderName;
use http::{HeaderValue, Request};
use tokio::sync::watch;

/// Field by which a backend learns that a request may be a repeated one (RFC 8470 section 5.1).
const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");

/// The early data of one connection, until its handshake is complete.
#[derive(Clone, Debug)]
pub(in crate::server) struct EarlyData {
    /// The name whose site takes early data.
    name: String,
    is_complete: watch::Receiver<bool>,
}

/// The error of a connection whose handshake failed after its early data.
#[derive(Debug, thiserror::Error)]
#[error("the handshake failed")]
pub(super) struct HandshakeFailed;

impl EarlyData {
    /// The early data of a client that has named `name`. `is_complete` becomes `true` with the handshake, and is closed if that
    /// fails.
    pub(in crate::server) fn new(name: String, is_complete: watch::Receiver<bool>) -> Self {
        Self { name, is_complete }
    }

    /// Lets a safe request to the named site through, marked for the backend. Others wait until the handshake is complete.
    pub(super) async fn admit(&self, request: &mut Request<()>) -> Result<(), HandshakeFailed> {
        if *self.is_complete.borrow() {
            return Ok(());
        }
        if request.method().is_safe() && self.is_named(request) {
            let early = HeaderValue::from_static("1");
            request.headers_mut().insert(EARLY_DATA, early);
            return Ok(());
        }
        let mut is_complete = self.is_complete.clone();
        let waited = is_complete.wait_for(|is_complete| *is_complete).await;
        waited.map(|_| ()).map_err(|_| HandshakeFailed)
    }

    fn is_named(&self, request: &Request<()>) -> bool {
        let host = request.uri().host();
        host.is_some_and(|host| host.eq_ignore_ascii_case(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http::Method;

    use super::*;

    fn request(method: Method, uri: &str) -> Request<()> {
        let request = Request::builder().method(method).uri(uri);
        request.body(()).unwrap()
    }

    fn early() -> (watch::Sender<bool>, EarlyData) {
        let (complete, is_complete) = watch::channel(false);
        let name = "www.example.org".to_owned();
        (complete, EarlyData::new(name, is_complete))
    }

    #[test]
    fn a_safe_request_to_the_named_site_runs_at_once_and_is_marked() {
        let (_complete, early) = early();
        let mut request = request(Method::GET, "https://www.example.org/");
        early.admit(&mut request).now_or_never().unwrap().unwrap();
        assert_eq!(request.headers()["early-data"], "1");
    }

    #[test]
    fn others_wait_for_the_handshake_and_are_not_marked() {
        for (method, uri) in [
            (Method::POST, "https://www.example.org/"),
            (Method::GET, "https://other.example.org/"),
        ] {
            let (complete, early) = early();
            let mut request = request(method, uri);
            assert!(early.admit(&mut request).now_or_never().is_none());
            complete.send(true).unwrap();
            early.admit(&mut request).now_or_never().unwrap().unwrap();
            assert!(request.headers().is_empty());
        }
    }

    #[test]
    fn a_handshake_that_fails_ends_the_wait() {
        let (complete, early) = early();
        let mut request = request(Method::POST, "https://www.example.org/");
        drop(complete);
        early
            .admit(&mut request)
            .now_or_never()
            .unwrap()
            .unwrap_err();
    }
}
