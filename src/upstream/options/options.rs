//! Settings of one upstream, with the defaults.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::balance_options::BalanceOptions;
use super::http_options::HttpOptions;
use crate::upstream::transport::{SendProxy, TlsOptions};

/// Response time-out of upstreams without one of their own.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that no exchange takes, but that can be added to every instant.
const NO_LIMIT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Time-outs, TLS and load balancing of one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Maximum time to open a connection, with the TLS handshake.
    pub connect_timeout: Duration,
    /// Maximum time from the last progress of the request to the head of the response. While an upload makes progress,
    /// the clock stands still. Never ends a running stream or a tunnel. `None` is 60 seconds, and no limit for gRPC,
    /// where a stream may wait for its first message.
    pub response_timeout: Option<Duration>,
    /// Maximum idle time of a pooled connection. The default is below the keep-alive time of common app servers (5 s in
    /// Node and uvicorn), so that a reused connection is rarely about to close.
    pub idle_timeout: Duration,
    /// Maximum size of a request body without a length that is read into memory, so that the backend gets its length.
    /// `None` if such bodies are sent as they come.
    pub buffer_requests: Option<usize>,
    /// Version of the PROXY header that names the client, if connections start with one. Each connection then carries
    /// only one request.
    pub send_proxy: Option<SendProxy>,
    /// Forms of HTTP that the backends get.
    pub http: HttpOptions,
    /// Verification of backends behind `https://`.
    pub tls: TlsOptions,
    /// Distribution of the requests among the backends.
    pub balancing: Box<BalanceOptions>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            response_timeout: None,
            idle_timeout: Duration::from_secs(4),
            buffer_requests: None,
            send_proxy: None,
            http: HttpOptions::default(),
            tls: TlsOptions::default(),
            balancing: Box::default(),
        }
    }
}

impl Options {
    /// Time-out for the response to a request with these fields.
    pub(in crate::upstream) fn response_limit(
        &self,
        headers: &HeaderMap,
        has_body: bool,
    ) -> Duration {
        match self.response_timeout {
            Some(limit) => limit,
            None if has_body && is_grpc(headers) => NO_LIMIT,
            None => RESPONSE_TIMEOUT,
        }
    }
}

/// `true` for gRPC and gRPC-Web, whose requests always have a body. Their content type may have a message format and
/// parameters: `application/grpc-web-text+proto; charset=utf-8`.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let name = kind.and_then(|kind| kind.split(|byte| matches!(byte, b'+' | b';' | b' ')).next());
    name.is_some_and(|name| {
        [
            "application/grpc",
            "application/grpc-web",
            "application/grpc-web-text",
        ]
        .iter()
        .any(|grpc| name.eq_ignore_ascii_case(grpc.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(options: &Options, kind: &'static str) -> Duration {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        options.response_limit(&headers, true)
    }

    #[test]
    fn grpc_waits_without_limit_unless_the_upstream_has_one_of_its_own() {
        let mut options = Options::default();
        for (kind, expected) in [
            ("application/grpc", NO_LIMIT),
            ("application/grpc+proto", NO_LIMIT),
            ("Application/gRPC-Web-Text", NO_LIMIT),
            ("application/grpc-web+proto", NO_LIMIT),
            ("application/grpc; charset=utf-8", NO_LIMIT),
            ("application/grpc ;v=1", NO_LIMIT),
            ("application/grpcx", RESPONSE_TIMEOUT),
            ("application/grpc-x", RESPONSE_TIMEOUT),
            ("application/grp", RESPONSE_TIMEOUT),
            ("", RESPONSE_TIMEOUT),
            ("application/json", RESPONSE_TIMEOUT),
            ("grpc", RESPONSE_TIMEOUT),
        ] {
            assert_eq!(limit(&options, kind), expected, "{kind}");
        }
        let own = Duration::from_secs(5);
        options.response_timeout = Some(own);
        assert_eq!(limit(&options, "application/grpc"), own);
    }
}
