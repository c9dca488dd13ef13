//! The question that stands before a certificate for a name that nobody configured.

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

/// How long the operator's endpoint may take for one answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// How many questions are open at once, so that a flood of names does not become one of requests.
const OPEN_QUESTIONS: usize = 64;
/// For how long nobody tries to connect to an endpoint that takes no connections.
const PAUSE: Duration = Duration::from_secs(5);

/// The operator's endpoint that says which names may have a certificate.
#[derive(Debug)]
pub struct Ask {
    options: OnDemandOptions,
    http: reqwest::Client,
    open: Semaphore,
    answers: AskCache,
    new_names: NewNameLimit,
    /// Since when the endpoint takes no connections.
    down: Mutex<Option<(Instant, Arc<AskError>)>>,
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
            options: options.clone(),
            http,
            open: Semaphore::new(OPEN_QUESTIONS),
            answers: AskCache::new(),
            new_names: NewNameLimit::new(options.names_per_network, options.names_per_hour),
            down: Mutex::default(),
        })
    }

    /// What the gate was made of.
    #[must_use]
    pub fn options(&self) -> &OnDemandOptions {
        &self.options
    }

    /// Whether `name` may have a certificate, as the endpoint has said lately or says now. A name
    /// that is new comes with the client that wants it, and may be one too many; one whose
    /// certificate is renewed comes without.
    pub async fn allow(&self, name: &HostName, client: Option<IpAddr>) -> Verdict {
        let known = self.answers.find(name);
        let answer = match known {
            Some(answer) => answer,
            None => self.question(name, client).await?,
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

    /// What the endpoint has said of `name` lately.
    #[must_use]
    pub fn said(&self, name: &HostName) -> Option<Result<(), Arc<AskError>>> {
        Some(self.answers.find(name)?.verdict)
    }

    async fn question(
        &self,
        name: &HostName,
        client: Option<IpAddr>,
    ) -> Result<Answer, Arc<AskError>> {
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

    /// Asks `GET ask?domain=NAME`. Only 200 allows; a time-out, a redirect and every other status
    /// refuse.
    async fn send(&self, name: &HostName) -> (Verdict, Duration) {
        let _turn = self.open.acquire().await;
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
                let is_gone = source.is_connect();
                let source = source.without_url();
                let error = Arc::new(AskError::Unreachable { url, source });
                if is_gone {
                    self.set_down(&error);
                }
                (Err(error), http::HeaderMap::new())
            }
        };
        let time = lifetime(&verdict, &headers);
        (verdict, time)
    }

    /// The reason why nobody needs to try to connect now.
    fn known_down(&self) -> Option<Arc<AskError>> {
        let down = self.down.lock();
        let (since, error) = down.as_ref()?;
        (since.elapsed() < PAUSE).then(|| Arc::clone(error))
    }

    fn set_down(&self, error: &Arc<AskError>) {
        *self.down.lock() = Some((Instant::now(), Arc::clone(error)));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn gate(ask: &str) -> Ask {
        Ask::new(&OnDemandOptions::new(ask.parse().unwrap())).unwrap()
    }

    fn name(text: &str) -> HostName {
        HostName::parse(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_says_nothing_refuses_after_its_time() {
        // The system accepts for it; nobody ever reads.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = gate(&format!("http://{}/", listener.local_addr().unwrap()));
        let name = name("www.example.org");
        let start = Instant::now();
        let answer = timeout(Duration::from_secs(3600), gate.allow(&name, None)).await;
        assert!(answer.unwrap().unwrap_err().is_down());
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test]
    async fn an_endpoint_that_is_gone_is_left_alone_for_a_moment_only() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let gate = gate(&format!("http://{address}/"));
        assert!(gate.known_down().is_none());
        let error = gate.allow(&name("a.example.org"), None).await.unwrap_err();
        assert!(error.is_down(), "{error}");
        let other = gate.allow(&name("b.example.org"), None).await.unwrap_err();
        assert!(Arc::ptr_eq(&error, &other));
        tokio::time::pause();
        tokio::time::advance(PAUSE).await;
        assert!(gate.known_down().is_none());
        assert!(gate.answers.find(&name("a.example.org")).is_none());
    }
}
