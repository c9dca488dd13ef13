//! The span of a request in progress.

use http::Version;
use http::uri::Authority;

use super::outcome::Outcome;
use super::request_record::RequestRecord;
use crate::traces::{Attributes, FinishedRequest, SampledTrace, method_name};

/// The span of a request in progress, whose trace is sampled.
#[derive(Debug)]
pub(crate) struct ServerSpan {
    trace: SampledTrace,
    scheme: &'static str,
    /// Prefix of the route, unless it is that of all paths.
    route: Option<String>,
}

impl ServerSpan {
    /// Begins the span of a request that the client has sent with this scheme.
    pub(crate) fn new(trace: SampledTrace, scheme: &'static str) -> Self {
        Self {
            trace,
            scheme,
            route: None,
        }
    }

    pub(super) fn trace(&self) -> &SampledTrace {
        &self.trace
    }

    pub(super) fn routed(&mut self, prefix: &str) {
        self.route = (!prefix.is_empty()).then(|| prefix.to_owned());
    }

    /// Ends the request. Call [`Self::end_exchange`] before.
    pub(super) fn end(self, request: &RequestRecord, outcome: &Outcome) {
        let mut attributes = self.attributes(request);
        add_outcome(&mut attributes, outcome);
        let method = method_name(request.method()).unwrap_or("HTTP");
        let finished = FinishedRequest {
            name: match &self.route {
                Some(route) => format!("{method} {route}"),
                None => method.to_owned(),
            },
            start: request.time,
            duration: outcome.duration,
            attributes,
        };
        self.trace.end(finished);
    }

    /// Ends the exchange with the backend, if there is one.
    pub(super) fn end_exchange(&self, outcome: &Outcome) {
        let broken = outcome.reason.filter(|_| outcome.is_broken);
        self.trace.end_exchange(broken);
    }

    /// Attributes of the head. The query is none of them, because it may hold secrets.
    fn attributes(&self, request: &RequestRecord) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.method(request.method());
        attributes.text("url.scheme", self.scheme);
        let path = request.path().split(|byte| *byte == b'?').next();
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            attributes.text("url.path", path);
        }
        if let Some(route) = &self.route {
            attributes.text("http.route", route);
        }
        if let Ok(host) = Authority::try_from(request.host()) {
            attributes.text("server.address", host.host().trim_matches(['[', ']']));
            if let Some(port) = host.port_u16() {
                attributes.number("server.port", port);
            }
        }
        attributes.text("client.address", request.client.ip().to_string());
        if let Some(version) = protocol_version(request.version) {
            attributes.text("network.protocol.version", version);
        }
        if !request.user_agent().is_empty() {
            attributes.text("user_agent.original", request.user_agent());
        }
        attributes
    }
}

fn add_outcome(attributes: &mut Attributes, outcome: &Outcome) {
    let is_failure = outcome
        .status
        .is_some_and(|status| status.is_server_error());
    // The word of a refusal says more than its status.
    if let Some(reason) = outcome.reason {
        attributes.text("proxy.reason", reason);
        if is_failure || outcome.is_broken {
            attributes.failed(reason);
        }
    }
    if let Some(status) = outcome.status {
        attributes.status(status);
    }
    if outcome.has_client_left() {
        attributes.boolean("proxy.client_left", true);
    }
}

/// Version of HTTP as the conventions for spans write it.
fn protocol_version(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => return None,
    })
}
