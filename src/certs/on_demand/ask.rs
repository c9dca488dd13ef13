//! The ask endpoint, which allows or refuses each on-demand name before its certificate is ordered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::ask_cache::{Answer, AskCache, Verdict, lifetime};
use super::error::AskError;
use super::new_name_limit::{Network, NewNameLimit};
use super::options::OnDemandOptions;
use crate::name::HostName;
use crate::web_client::{WebServers, web_client};

/// Limits how long the endpoint may take for one answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// Limits how many requests are open at once, so that a flood of names does not become a flood of requests.
const OPEN_QUESTIONS: usize = 64;
/// Time without another attempt to connect after the endpoint has refused a connection.
const DOWN_PAUSE: Duration = Duration::from_secs(5);

/// The operator's endpoint that decides which on-demand names may have a certificate.
#[derive(Debug)]
pub struct Ask {
    options: OnDemandOptions,
    http: reqwest::Client,
    open: Semaphore,
    answers: AskCache,
    new_names: NewNameLimit,
    /// Time and error of the last refused connection.
    down: Mutex<Option<(Instant, Arc<AskError>)>>,
}

impl Ask {
    /// A client for the endpoint at `options.ask`.
    pub fn new(options: &OnDemandOptions) -> Result<Self, AskError> {
        let servers = WebServers::at(&options.ask);
        let http = web_client(servers, |client| client.timeout(ASK_TIMEOUT).no_proxy());
        let http = http.map_err(AskError::Client)?;
        Ok(Self {
            options: options.clone(),
            http,
            open: Semaphore::new(OPEN_QUESTIONS),
            answers: AskCache::new(),
            new_names: NewNameLimit::new(options.names_per_network, options.names_per_hour),
            down: Mutex::default(),
        })
    }

    /// The options that it was built from.
    #[must_use]
    pub fn options(&self) -> &OnDemandOptions {
        &self.options
    }

    /// Checks whether `name` may have a certificate: by a cached answer, else by a request. `client` is the client whose
    /// handshake brought a new name; new names are limited per network and in total. It is `None` for a renewal.
    pub async fn allow(&self, name: &HostName, client: Option<IpAddr>) -> Verdict {
        let answer = match self.answers.find(name) {
            Some(answer) => answer,
            None => self.ask(name, client).await?,
        };
        answer.verdict?;
        if client.is_some() && !answer.is_admitted {
            let limit = self.options.names_per_hour;
            let admitted = self.new_names.admit();
            admitted.map_err(|wait| AskError::TooMany { limit, wait })?;
            self.answers.admit(name);
        }
        Ok(())
    }

    /// Returns the cached answer for `name`.
    #[must_use]
    pub fn cached(&self, name: &HostName) -> Option<Verdict> {
        Some(self.answers.find(name)?.verdict)
    }

    async fn ask(&self, name: &HostName, client: Option<IpAddr>) -> Result<Answer, Arc<AskError>> {
        if let Some(error) = self.known_down() {
            return Err(error);
        }
        if let Some(network) = client.map(Network::of) {
            let limit = self.options.names_per_network;
            let admitted = self.new_names.admit_from(network);
            admitted.map_err(|wait| AskError::TooManyFromNetwork {
                network,
                limit,
                wait,
            })?;
        }
        let (verdict, time) = self.send(name).await;
        let answer = Answer {
            verdict,
            is_admitted: client.is_none(),
        };
        self.answers.keep(name, answer.clone(), time);
        Ok(answer)
    }

    /// Sends `GET ask?domain=NAME`. Returns the verdict and how long it is cached. Only status 200 allows; every other
    /// status, a redirect and a time-out refuse.
    async fn send(&self, name: &HostName) -> (Verdict, Duration) {
        let _permit = self.open.acquire().await;
        let url = &self.options.ask;
        let mut question = url.clone();
        question
            .query_pairs_mut()
            .append_pair("domain", name.as_str());
        let url = url.clone();
        let (verdict, headers) = match self.http.get(question).send().await {
            Ok(response) => {
                let verdict = match response.status().as_u16() {
                    200 => Ok(()),
                    status @ (408 | 429 | 500..) => Err(AskError::Failing { url, status }),
                    status => Err(AskError::Refused { url, status }),
                };
                (verdict.map_err(Arc::new), response.headers().clone())
            }
            Err(source) => {
                let is_refused = source.is_connect();
                let source = source.without_url();
                let error = Arc::new(AskError::Unreachable { url, source });
                if is_refused {
                    self.set_down(&error);
                }
                (Err(error), http::HeaderMap::new())
            }
        };
        let time = lifetime(&verdict, &headers);
        (verdict, time)
    }

    /// Returns the error of the last refused connection while the pause after it lasts.
    fn known_down(&self) -> Option<Arc<AskError>> {
        let down = self.down.lock();
        let (since, error) = down.as_ref()?;
        (since.elapsed() < DOWN_PAUSE).then(|| Arc::clone(error))
    }

    fn set_down(&self, error: &Arc<AskError>) {
        *self.down.lock() = Some((Instant::now(), Arc::clone(error)));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn endpoint(ask: &str) -> Ask {
        Ask::new(&OnDemandOptions::new(ask.parse().unwrap())).unwrap()
    }

    fn name(text: &str) -> HostName {
        HostName::parse(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_does_not_answer_refuses_after_the_time_out() {
        // The system accepts the connection, and nobody reads from it.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ask = endpoint(&format!("http://{}/", listener.local_addr().unwrap()));
        let name = name("www.example.org");
        let start = Instant::now();
        let answer = timeout(Duration::from_secs(3600), ask.allow(&name, None)).await;
        assert!(answer.unwrap().unwrap_err().is_down());
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test]
    async fn an_endpoint_that_refuses_connections_is_asked_again_after_a_pause() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let ask = endpoint(&format!("http://{address}/"));
        assert!(ask.known_down().is_none());
        let error = ask.allow(&name("a.example.org"), None).await.unwrap_err();
        assert!(error.is_down(), "{error}");
        let other = ask.allow(&name("b.example.org"), None).await.unwrap_err();
        assert!(Arc::ptr_eq(&error, &other));
        tokio::time::pause();
        tokio::time::advance(DOWN_PAUSE).await;
        assert!(ask.known_down().is_none());
        assert!(ask.answers.find(&name("a.example.org")).is_none());
    }
}
