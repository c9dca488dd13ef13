//! The spans of one request's attempts, where it is traced.

use http::Request;

use crate::traces::{Attributes, SampledTrace};
use crate::upstream::address::{Address, Protocol};
use crate::upstream::body::RequestBody;
use crate::upstream::error::Error;
use crate::upstream::exchange::Lease;

/// Records the attempts of a request in its trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptSpans<'c>(pub(super) &'c SampledTrace);

impl AttemptSpans<'_> {
    /// Records that the request is sent on a connection.
    pub(super) fn begin(self, request: &mut Request<RequestBody>, lease: &Lease) {
        let address = lease.address();
        // Without the query, which may hold secrets.
        let path = request.uri().path();
        let url = format!("{}://{}{path}", scheme(address), address.authority());
        self.0.begin_exchange(request.headers_mut(), |attributes| {
            add_address(attributes, address);
            attributes.text("url.full", url);
            let version = if lease.is_http2() { "2" } else { "1.1" };
            attributes.text("network.protocol.version", version);
        });
    }

    /// Records that no connection to a backend could be opened.
    pub(super) fn connection_failed(self, address: &Address, error: &Error) {
        let describe = |attributes: &mut Attributes| add_address(attributes, address);
        self.0.connection_failed(word(error), describe);
    }

    /// Records that the exchange has failed.
    pub(super) fn failed(self, error: &Error) {
        self.0.failed(word(error));
    }
}

fn scheme(address: &Address) -> &'static str {
    match address.protocol() {
        Protocol::Https => "https",
        Protocol::Http | Protocol::H2c => "http",
    }
}

fn add_address(attributes: &mut Attributes, address: &Address) {
    match (address.host(), address.port()) {
        (Some(host), Some(port)) => {
            attributes.text("server.address", host.as_str());
            attributes.number("server.port", port);
        }
        _ => attributes.text("server.address", address.to_string()),
    }
}

/// Word for the kind of a failure, as in the reasons of refusals.
fn word(error: &Error) -> &'static str {
    match error {
        Error::Resolve { .. } => "backend-unresolved",
        Error::Connect { .. } => "backend-unreachable",
        Error::Loop { .. } => "loop",
        Error::ConnectTimeout { .. } => "backend-connect-timeout",
        Error::Certificate { .. } => "backend-certificate",
        Error::Handshake { .. } => "backend-handshake",
        Error::NoUpgrade { .. } => "backend-no-upgrade",
        Error::Refused { .. } => "backend-refused",
        Error::Reset { .. } => "backend-reset",
        Error::ResponseTimeout { .. } => "backend-timeout",
        Error::ResponseFraming { .. } => "response-framing",
        Error::ResponseHeadTooLarge { .. } => "response-head-too-large",
        Error::RequestStalled => "request-stalled",
        Error::RequestTooLarge => "body-size",
        Error::RequestBroken(_) => "request-broken",
        _ => "backend-broken",
    }
}
