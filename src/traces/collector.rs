//! The collector that receives spans, over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::task::spawn_blocking;
use url::Url;

use super::options::TraceOptions;
use super::otlp;
use crate::printable::{quoted, with_causes};
use crate::web_client::{WebClientError, WebServers, web_client};

/// Time for one request to the collector.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size of a response that is read.
const MAX_RESPONSE: usize = 64 * 1024;

/// Path that is added to the endpoint, as OTLP defines it.
const PATH: &str = "v1/traces";

/// Port on which collectors speak gRPC.
const GRPC_PORT: u16 = 4317;

/// Reason why the collector did not take spans.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The client cannot be set up.
    #[error("the client for `tracing` cannot be set up: {0}")]
    Setup(#[from] WebClientError),
    /// There was no response.
    #[error("the collector at {url} cannot be reached: {cause}; {fix}")]
    Unreachable {
        /// The URL for traces.
        url: Url,
        /// The error, with its causes.
        cause: String,
        /// The remedy, for the operator.
        fix: &'static str,
    },
    /// The collector wants other credentials.
    #[error("the collector answers with status {0}; correct `headers` of `tracing`")]
    Credentials(StatusCode),
    /// The URL does not accept traces.
    #[error(
        "{0} does not accept traces; correct `endpoint` of `tracing`, which is the base URL of the collector, such as `http://localhost:4318`"
    )]
    Path(Url),
    /// The collector has no room now.
    #[error(
        "the collector answers with status {status}; give it more room, or lower `sample` of `tracing`"
    )]
    Busy {
        /// Its status.
        status: StatusCode,
        /// Time after which it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The collector has refused the spans.
    #[error("the collector answers with status {0}; look into its log")]
    Refused(StatusCode),
}

impl CollectorError {
    /// `true` if the same spans may be taken later.
    pub(super) fn may_pass(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// Time after which the collector wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Sends a message without spans to the collector. Returns the URL that has taken it.
pub async fn contact(options: &TraceOptions) -> Result<Url, CollectorError> {
    let owned = options.clone();
    let built = spawn_blocking(move || Collector::new(&owned)).await;
    let collector = built.unwrap_or_else(|_| Collector::new(options))?;
    collector.send(Bytes::new()).await?;
    Ok(collector.url)
}

/// Spans that the collector has refused, although it has taken the message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusals {
    pub(super) spans: u64,
    pub(super) reason: String,
}

/// The collector.
#[derive(Debug)]
pub(super) struct Collector {
    url: Url,
    http: reqwest::Client,
}

impl Collector {
    /// Sets up the client. Blocks while it reads the roots.
    pub(super) fn new(options: &TraceOptions) -> Result<Self, WebClientError> {
        let mut fields = HeaderMap::new();
        for header in &options.headers {
            fields.append(header.name.clone(), header.value.clone());
        }
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        fields.insert(CONTENT_TYPE, protobuf);
        let servers = match &options.root {
            Some(root) => WebServers::believed_by(root)?,
            None => WebServers::at(&options.endpoint),
        };
        let url = if options.is_whole_url {
            options.endpoint.clone()
        } else {
            traces_url(&options.endpoint)
        };
        let http = web_client(servers, |client| {
            client.default_headers(fields).timeout(TIMEOUT)
        })?;
        Ok(Self { url, http })
    }

    /// Sends an encoded message.
    pub(super) async fn send(&self, message: Bytes) -> Result<Refusals, CollectorError> {
        let request = self.http.post(self.url.clone()).body(message);
        let mut response = request
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.refusal(status, response.headers()));
        }
        let mut body = Vec::new();
        // The spans are taken, whatever happens to the rest of the response.
        while let Ok(Some(part)) = response.chunk().await {
            if body.len() + part.len() > MAX_RESPONSE {
                return Ok(Refusals::default());
            }
            body.extend_from_slice(&part);
        }
        let (spans, reason) = otlp::rejected(&body);
        Ok(Refusals {
            spans,
            reason: quoted(&reason),
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> CollectorError {
        let is_grpc = self.url.port() == Some(GRPC_PORT);
        CollectorError::Unreachable {
            url: self.url.clone(),
            cause: with_causes(&error.without_url()),
            fix: if is_grpc {
                "port 4317 is for gRPC: set `endpoint` of `tracing` to the port for HTTP, which is mostly 4318"
            } else if self.url.scheme() == "https" {
                "start it, or correct `endpoint` of `tracing`; set `root` if a private CA has signed its certificate"
            } else {
                "start it, or correct `endpoint` of `tracing`"
            },
        }
    }

    fn refusal(&self, status: StatusCode, fields: &HeaderMap) -> CollectorError {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CollectorError::Credentials(status),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                CollectorError::Path(self.url.clone())
            }
            _ if status.is_redirection() => CollectorError::Path(self.url.clone()),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => CollectorError::Busy {
                status,
                retry_after: retry_after(fields),
            },
            _ => CollectorError::Refused(status),
        }
    }
}

/// URL for traces: the endpoint with the path that OTLP adds to it, unless it has that already.
fn traces_url(endpoint: &Url) -> Url {
    let mut url = endpoint.clone();
    let base = endpoint.path().trim_end_matches('/');
    if !base.ends_with(&format!("/{PATH}")) {
        url.set_path(&format!("{base}/{PATH}"));
    }
    url
}

fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let seconds = fields.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(endpoint: &str) -> Collector {
        Collector::new(&TraceOptions::new(Url::parse(endpoint).unwrap())).unwrap()
    }

    #[test]
    fn the_path_for_traces_is_added_to_the_endpoint() {
        for (endpoint, url) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            (
                "https://a.example/otlp/",
                "https://a.example/otlp/v1/traces",
            ),
            ("https://a.example/v1/traces", "https://a.example/v1/traces"),
        ] {
            assert_eq!(collector(endpoint).url.as_str(), url);
        }
    }

    #[test]
    fn a_whole_url_is_used_as_it_is() {
        let mut options = TraceOptions::new(Url::parse("https://a.example/intake?x=1").unwrap());
        options.is_whole_url = true;
        let collector = Collector::new(&options).unwrap();
        assert_eq!(collector.url.as_str(), "https://a.example/intake?x=1");
    }

    #[test]
    fn each_status_has_its_fix_and_some_may_pass() {
        let collector = collector("http://localhost:4318");
        for (status, part, may_pass) in [
            (401, "correct `headers`", true),
            (403, "correct `headers`", true),
            (404, "correct `endpoint`", true),
            (308, "correct `endpoint`", true),
            (429, "lower `sample`", true),
            (503, "lower `sample`", true),
            (400, "look into its log", false),
            (500, "look into its log", false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let mut fields = HeaderMap::new();
            fields.insert(RETRY_AFTER, HeaderValue::from_static("7"));
            let error = collector.refusal(status, &fields);
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.may_pass(), may_pass, "{error}");
            let asked = matches!(error, CollectorError::Busy { .. });
            assert_eq!(error.retry_after().is_some(), asked, "{error}");
        }
    }
}
