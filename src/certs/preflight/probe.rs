//! Probe of an address: fetches a token of this process over HTTP, as a CA would.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;

use super::preflight_verdict::ProbeOutcome;
use crate::certs::challenge::{Http01Publication, Http01Tokens};
use crate::name::HostName;
use crate::web_client::{WebClientError, WebServers, web_client};

/// Time limit for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time limit for a whole fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Length of a token and of its answer, in characters.
const LENGTH: usize = 32;

/// HTTP client that connects only to the given address.
#[derive(Debug)]
pub(super) struct Probe {
    http: reqwest::Client,
    port: u16,
}

/// Token that the port-80 listener answers until this value is dropped.
#[derive(Debug)]
pub(super) struct Token {
    path: String,
    answer: String,
    _published: Http01Publication,
}

impl Token {
    /// Publishes a random token with an independent random answer, so that an echo of the request is not accepted.
    pub(super) async fn publish(tokens: &Arc<Http01Tokens>) -> Self {
        let (token, answer) = (random(), random());
        Self {
            path: format!("/.well-known/acme-challenge/{token}"),
            answer: answer.clone(),
            _published: tokens.publish(token, answer).await,
        }
    }
}

fn random() -> String {
    let letters = std::iter::repeat_with(fastrand::alphanumeric);
    letters.take(LENGTH).collect()
}

impl Probe {
    pub(super) fn new(port: u16) -> Result<Self, WebClientError> {
        let http = web_client(WebServers::Plain, |client| {
            client
                .retry(reqwest::retry::never())
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(FETCH_TIMEOUT)
                .pool_max_idle_per_host(0)
                .no_proxy()
        })?;
        Ok(Self { http, port })
    }

    /// Fetches the token of `name` from `address`.
    pub(super) async fn fetch(
        &self,
        name: &HostName,
        address: IpAddr,
        token: &Token,
    ) -> ProbeOutcome {
        let address = SocketAddr::new(address, self.port);
        let request = self.http.get(format!("http://{address}{}", token.path));
        match request.header(HOST, host(name)).send().await {
            Ok(response) => classify(response, &token.answer).await,
            Err(error) if error.is_connect() => ProbeOutcome::Unreachable,
            Err(_) => ProbeOutcome::Silent,
        }
    }
}

fn host(name: &HostName) -> String {
    match name.ip() {
        Some(IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => name.as_str().to_owned(),
    }
}

/// Classifies a response. Reads no more of the body than the comparison needs.
async fn classify(mut response: reqwest::Response, expected: &str) -> ProbeOutcome {
    let status = response.status();
    if status.is_redirection() {
        return ProbeOutcome::Redirect {
            status: status.as_u16(),
        };
    }
    let mut body = Vec::new();
    while body.len() <= expected.len() {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(_) => return ProbeOutcome::Silent,
        }
    }
    if body == expected.as_bytes() && status == http::StatusCode::OK {
        ProbeOutcome::Ours
    } else {
        ProbeOutcome::Other {
            status: status.as_u16(),
        }
    }
}
