//! The HTTPS client of a CA (RFC 8555 section 6): limits, the directory, nonces, and the repetition of
//! requests that were lost or came too early.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use serde::de::Error as _;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use url::Url;

use super::clock_skew::ClockSkew;
use super::options::Options;
use super::repetitions::{Repeat, Repetitions};
use super::response::Response;
use super::tls::tls_config;
use crate::acme::error::{Error, Step};
use crate::acme::jws::{Nonce, NoncePool, Signer};
use crate::acme::resource::{Directory, Service};

/// Longest response in bytes. A certificate chain has a few KiB, and everything else is shorter.
const BODY_LIMIT: usize = 1 << 20;

/// Longest URL in bytes. Relative URLs in an answer get as long as the URL of the answer.
const URL_LIMIT: usize = 4096;

/// Most redirects of a GET that are followed.
const REDIRECTS: usize = 3;

/// Age at which the directory is read again.
const DIRECTORY_LIFE: Duration = Duration::from_secs(12 * 3600);

/// Most nonces of one request that may be refused.
const NONCE_RETRIES: u32 = 8;

/// Time by which the pause before each further one gets longer.
const NONCE_PAUSE: Duration = Duration::from_millis(100);

/// The client of one CA. Shared in an `Arc`; several orders of one account can run at once.
#[derive(Debug)]
pub struct Client {
    options: Options,
    http: reqwest::Client,
    directory: Mutex<Option<CachedDirectory>>,
    nonces: NoncePool,
    /// The CA's Date, and when it was read.
    date: parking_lot::Mutex<Option<(SystemTime, Instant)>>,
}

#[derive(Debug)]
struct CachedDirectory {
    directory: Arc<Directory>,
    read: Instant,
}

/// A service in the directory that names it.
pub(in crate::acme) struct KnownService {
    pub(in crate::acme) url: Url,
    directory: Arc<Directory>,
}

/// A signed request.
#[derive(Clone, Copy, Debug)]
pub(in crate::acme) struct Call<'a> {
    pub(in crate::acme) step: Step,
    pub(in crate::acme) signer: Signer<'a>,
    pub(in crate::acme) payload: &'a [u8],
    pub(in crate::acme) repeat: Repeat,
}

impl Client {
    /// Sets up a client. Reads the system's root certificates from disk, but sends no request.
    pub fn new(options: Options) -> Result<Self, Error> {
        require_https(Step::Directory, &options.directory)?;
        let tls = tls_config(options.root_pem.as_deref())?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("proxy/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(options.request_timeout)
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| Error::Setup(error.into()))?;
        Ok(Self {
            options,
            http,
            directory: Mutex::new(None),
            nonces: NoncePool::default(),
            date: parking_lot::Mutex::default(),
        })
    }

    /// Returns the time of the CA's clock, if one of its answers has told it.
    #[must_use]
    pub fn ca_time(&self) -> Option<SystemTime> {
        let (date, read) = (*self.date.lock())?;
        Some(date + read.elapsed())
    }

    /// Returns the client's settings.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the directory (RFC 8555 section 7.1.1). It is cached, and read again when it is too old or has proved wrong.
    pub async fn directory(&self) -> Result<Arc<Directory>, Error> {
        let mut cached = self.directory.lock().await;
        if let Some(known) = &*cached
            && known.read.elapsed() < DIRECTORY_LIFE
        {
            return Ok(Arc::clone(&known.directory));
        }
        let (directory, skew) = self.contact().await?;
        if let Some(skew) = skew {
            skew.warn(&self.options.directory);
        }
        let directory = Arc::new(directory);
        *cached = Some(CachedDirectory {
            directory: Arc::clone(&directory),
            read: Instant::now(),
        });
        Ok(directory)
    }

    /// Asks the CA for its directory now, whatever is cached. Returns the difference of the clocks too, if its answer has a date.
    pub async fn contact(&self) -> Result<(Directory, Option<ClockSkew>), Error> {
        let url = &self.options.directory;
        let response = self.read(Method::GET, Step::Directory, url).await?;
        let date = response.date();
        let skew = date.map(|date| ClockSkew::between(SystemTime::now(), date));
        Ok((response.json()?, skew))
    }

    /// POSTs to a service of the directory. If the service is not found, the directory is read again, and a service that has
    /// moved is tried once more.
    pub(in crate::acme) async fn post_service(
        &self,
        call: &Call<'_>,
        service: Service,
    ) -> Result<Response, Error> {
        let known = self.url_of(service).await?;
        match self.post(call, &known.url).await {
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                self.forget_directory(&known.directory).await;
                let current = self.url_of(service).await?;
                if current.url == known.url {
                    Err(error)
                } else {
                    self.post(call, &current.url).await
                }
            }
            outcome => outcome,
        }
    }

    /// Returns the URL of a service. A directory without it is not kept: it may be a page of a CA under maintenance.
    pub(in crate::acme) async fn url_of(&self, service: Service) -> Result<KnownService, Error> {
        let directory = self.directory().await?;
        match directory.url(service).cloned() {
            Some(url) => Ok(KnownService { url, directory }),
            None => {
                self.forget_directory(&directory).await;
                Err(Error::Json {
                    step: Step::Directory,
                    source: serde_json::Error::custom(format!("it has no `{}`", service.name())),
                })
            }
        }
    }

    /// POSTs a signed request (RFC 8555 section 6.2). After a refused nonce or a lost response, it is signed again: no two
    /// requests have the same bytes.
    pub(in crate::acme) async fn post(
        &self,
        call: &Call<'_>,
        url: &Url,
    ) -> Result<Response, Error> {
        let mut given = None;
        let mut refused = 0;
        let mut repetitions = Repetitions::new(call.repeat);
        loop {
            let nonce = match given.take() {
                Some(nonce) => nonce,
                None => self.nonce().await?,
            };
            match self.post_once(call, url, &nonce).await {
                Ok(response) if response.is_bad_nonce() => {
                    self.nonces.clear();
                    given = response.nonce();
                    refused += 1;
                    // A nonce that is merely old is replaced at once.
                    sleep(NONCE_PAUSE * (refused - 1)).await;
                    if refused > NONCE_RETRIES {
                        let step = call.step;
                        return Err(Error::Nonces {
                            step,
                            count: refused,
                        });
                    }
                }
                outcome => match outcome.and_then(|response| self.keep_nonce(response).success()) {
                    Err(error) if repetitions.may_repeat(&error) => repetitions.wait().await,
                    outcome => return outcome,
                },
            }
        }
    }

    async fn post_once(
        &self,
        call: &Call<'_>,
        url: &Url,
        nonce: &Nonce,
    ) -> Result<Response, Error> {
        let body = call.signer.sign(url, nonce, call.payload)?;
        let request = self
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, "application/jose+json")
            .header(ACCEPT, accepted(call.step))
            .body(body);
        let response = self.send(call.step, url, request).await?;
        // Answers to signed requests come from no cache, so their date is the time of the answer.
        if let Some(date) = response.date() {
            *self.date.lock() = Some((date, Instant::now()));
        }
        Ok(response)
    }

    fn keep_nonce(&self, response: Response) -> Response {
        if let Some(nonce) = response.nonce() {
            self.nonces.put(nonce);
        }
        response
    }

    /// Returns a nonce of an earlier response, or requests a new one (RFC 8555 section 7.2).
    async fn nonce(&self) -> Result<Nonce, Error> {
        match self.nonces.take() {
            Some(nonce) => Ok(nonce),
            None => self.new_nonce().await,
        }
    }

    async fn new_nonce(&self) -> Result<Nonce, Error> {
        let known = self.url_of(Service::Nonce).await?;
        match self.nonce_from(&known.url).await {
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                self.forget_directory(&known.directory).await;
                let current = self.url_of(Service::Nonce).await?;
                self.nonce_from(&current.url).await
            }
            outcome => outcome,
        }
    }

    /// Requests a nonce by HEAD. A CA that does not know HEAD, or answers it without a nonce, is asked by GET, which every
    /// CA must accept too (RFC 8555 section 7.2).
    async fn nonce_from(&self, url: &Url) -> Result<Nonce, Error> {
        let step = Step::NewNonce;
        let by_head = match self.read(Method::HEAD, step, url).await {
            Ok(response) => response.nonce(),
            Err(error) if is_method_unknown(&error) => None,
            Err(error) => return Err(error),
        };
        if let Some(nonce) = by_head {
            return Ok(nonce);
        }
        let response = self.read(Method::GET, step, url).await?;
        response.nonce().ok_or(Error::Header {
            step,
            header: "Replay-Nonce",
        })
    }

    /// Lets the directory be read again after `wrong` has proved wrong.
    async fn forget_directory(&self, wrong: &Arc<Directory>) {
        let mut cached = self.directory.lock().await;
        if cached
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(&known.directory, wrong))
        {
            *cached = None;
        }
    }

    /// Sends an unsigned GET.
    pub(in crate::acme) async fn get(&self, step: Step, url: &Url) -> Result<Response, Error> {
        self.read(Method::GET, step, url).await
    }

    /// Sends an unsigned GET or HEAD. Follows a few redirects, and repeats a few lost requests.
    async fn read(&self, method: Method, step: Step, url: &Url) -> Result<Response, Error> {
        let mut repetitions = Repetitions::new(Repeat::Safe);
        loop {
            match self.read_once(method.clone(), step, url).await {
                Err(error) if repetitions.may_repeat(&error) => repetitions.wait().await,
                outcome => return outcome,
            }
        }
    }

    async fn read_once(&self, method: Method, step: Step, url: &Url) -> Result<Response, Error> {
        let mut url = url.clone();
        let mut redirects = 0;
        loop {
            let request = self.http.request(method.clone(), url.clone());
            let response = self.send(step, &url, request).await?;
            match redirect(&response) {
                Some(next) if redirects < REDIRECTS => url = next,
                _ => return response.success(),
            }
            redirects += 1;
        }
    }

    async fn send(
        &self,
        step: Step,
        url: &Url,
        request: reqwest::RequestBuilder,
    ) -> Result<Response, Error> {
        require_https(step, url)?;
        if url.as_str().len() > URL_LIMIT {
            let limit = URL_LIMIT;
            return Err(Error::LongUrl { step, limit });
        }
        let failed = |source| self.failure(step, url, source);
        let mut answer = request.send().await.map_err(failed)?;
        let mut response = Response {
            step,
            url: url.clone(),
            status: answer.status(),
            headers: std::mem::take(answer.headers_mut()),
            body: Vec::new(),
        };
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if response.body.len() + chunk.len() > BODY_LIMIT {
                let limit = BODY_LIMIT;
                return Err(Error::TooLong { step, limit });
            }
            response.body.extend_from_slice(&chunk);
        }
        let status = response.status.as_u16();
        tracing::debug!(%step, %url, status, "the CA answered");
        Ok(response)
    }

    fn failure(&self, step: Step, url: &Url, source: reqwest::Error) -> Error {
        let (url, source) = (url.clone(), source.without_url());
        if source.is_connect() {
            return Error::Connect { step, url, source };
        }
        if source.is_timeout() {
            let limit = self.options.request_timeout;
            return Error::Timeout { step, url, limit };
        }
        Error::Lost { step, url, source }
    }
}

fn is_method_unknown(error: &Error) -> bool {
    matches!(
        error.status(),
        Some(StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
    )
}

fn require_https(step: Step, url: &Url) -> Result<(), Error> {
    match url.scheme() {
        "https" => Ok(()),
        _ => Err(Error::NotHttps {
            step,
            url: url.clone(),
        }),
    }
}

fn accepted(step: Step) -> HeaderValue {
    HeaderValue::from_static(match step {
        Step::Certificate => "application/pem-certificate-chain",
        _ => "*/*",
    })
}

fn redirect(response: &Response) -> Option<Url> {
    if !response.status.is_redirection() {
        return None;
    }
    let target = response.headers.get(LOCATION)?.to_str().ok()?;
    response.url.join(target).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_https_is_refused() {
        let options = Options::new(Url::parse("http://ca.test/dir").unwrap());
        assert!(matches!(Client::new(options), Err(Error::NotHttps { .. })));
    }

    #[test]
    fn a_root_that_is_not_pem_is_refused() {
        let mut options = Options::new(Url::parse("https://ca.test/dir").unwrap());
        options.root_pem = Some(b"-----BEGIN CERTIFICATE-----\nnonsense\n".to_vec());
        assert!(matches!(Client::new(options), Err(Error::Root(_))));
    }
}
