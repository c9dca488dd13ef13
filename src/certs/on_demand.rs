//! The question that stands before a certificate for a name that nobody configured.

use std::time::Duration;

use tokio::sync::Semaphore;
use url::Url;

use super::OnDemandOptions;
use crate::name::HostName;

/// How long the operator's endpoint may take for one answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// How many questions are open at once, so that a flood of names does not become one of requests.
const OPEN_QUESTIONS: usize = 64;

/// Why a name is not allowed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The client for the question could not be built.
    #[error("the client for the ask endpoint cannot be built: {0}")]
    Client(reqwest::Error),
    /// The endpoint gave no answer.
    #[error("the ask endpoint {url} gave no answer: {source}")]
    Unreachable {
        /// The endpoint.
        url: Url,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// The endpoint answered anything but 200.
    #[error("the ask endpoint {url} refuses it with status {status}")]
    Refused {
        /// The endpoint.
        url: Url,
        /// Its answer.
        status: u16,
    },
}

/// The operator's endpoint that says which names may have a certificate.
#[derive(Debug)]
pub struct Ask {
    url: Url,
    http: reqwest::Client,
    open: Semaphore,
}

impl Ask {
    /// A gate at `options.ask`.
    pub fn new(options: &OnDemandOptions) -> Result<Self, AskError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("proxy/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ASK_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(AskError::Client)?;
        Ok(Self {
            url: options.ask.clone(),
            http,
            open: Semaphore::new(OPEN_QUESTIONS),
        })
    }

    /// Asks `GET ask?domain=NAME`. Only 200 allows; a time-out, a redirect and every other status
    /// refuse.
    pub async fn allow(&self, name: &HostName) -> Result<(), AskError> {
        let _turn = self.open.acquire().await;
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("domain", name.as_str());
        let response = self
            .http
            .get(url)
            .send()
            .await
            .map_err(|source| AskError::Unreachable {
                url: self.url.clone(),
                source: source.without_url(),
            })?;
        match response.status().as_u16() {
            200 => Ok(()),
            status => Err(AskError::Refused {
                url: self.url.clone(),
                status,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_says_nothing_refuses_after_its_time() {
        // The system accepts for it; nobody ever reads.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ask = format!("http://{}/", listener.local_addr().unwrap());
        let ask = OnDemandOptions {
            ask: ask.parse().unwrap(),
        };
        let name = HostName::parse("www.example.org").unwrap();
        let gate = Ask::new(&ask).unwrap();
        let start = Instant::now();
        let answer = timeout(Duration::from_secs(3600), gate.allow(&name)).await;
        assert!(matches!(answer, Ok(Err(AskError::Unreachable { .. }))));
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}
