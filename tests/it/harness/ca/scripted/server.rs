//! The HTTPS side of a scripted CA: routes, counts, and the faults of the script.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proxy::tasks::Tasks;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::jws::{Signed, dns01_value, malformed};
use super::reply::{Body, Cut, Reply, endless};
use super::route::Route;
use super::script::{Fault, Script, Step};
use super::signing::sign;
use super::state::{CaState, Validation};
use crate::harness::ca::pki::{LoopbackServer, TestCa};
use crate::harness::deadline::soon;

/// A running scripted CA; dropping the value stops it.
pub(crate) struct ScriptedCa {
    shared: Arc<Shared>,
    tasks: Tasks,
}

struct Shared {
    base: String,
    script: Script,
    http01_port: u16,
    api: LoopbackServer,
    issuing_root: TestCa,
    intermediate: TestCa,
    state: Mutex<CaState>,
    counts: watch::Sender<HashMap<Step, usize>>,
    http: reqwest::Client,
    tasks: Tasks,
}

impl ScriptedCa {
    /// Starts a CA that fetches the challenges of every name at this port of this machine.
    pub(crate) async fn start(script: Script, http01_port: u16) -> Self {
        let api = TestCa::root("root of the scripted API").loopback_server();
        Self::start_as(script, http01_port, api).await
    }

    /// Starts a CA with this certificate of its own HTTPS.
    pub(crate) async fn start_as(script: Script, http01_port: u16, api: LoopbackServer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        let issuing_root = TestCa::root("scripted root");
        let tasks = Tasks::new();
        let shared = Arc::new(Shared {
            state: Mutex::new(CaState::new(base.clone())),
            base,
            script,
            http01_port,
            api,
            intermediate: issuing_root.intermediate("scripted intermediate"),
            issuing_root,
            counts: watch::Sender::default(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            tasks: tasks.clone(),
        });
        tasks.spawn(accept(Arc::clone(&shared), listener));
        Self { shared, tasks }
    }

    /// URL of the directory, which the client is given.
    pub(crate) fn directory_url(&self) -> Url {
        format!("{}/dir", self.shared.base).parse().unwrap()
    }

    /// Root certificate of the API's own HTTPS.
    pub(crate) fn root_pem(&self) -> String {
        self.shared.api.root.clone()
    }

    /// Certificate of the API's own HTTPS itself.
    pub(crate) fn api_certificate(&self) -> String {
        self.shared.api.certificate.clone()
    }

    /// Root certificate that the issued certificates chain to.
    pub(crate) fn issuing_root_pem(&self) -> String {
        self.shared.issuing_root.pem()
    }

    /// Tokens of all challenges that it has offered.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.shared.state().tokens()
    }

    /// Number of certificates that it has signed.
    pub(crate) fn certificates(&self) -> usize {
        self.shared.state().certificates()
    }

    /// Number of pending authorizations.
    pub(crate) fn pending_authorizations(&self) -> usize {
        self.shared.state().pending_authorizations()
    }

    /// For each order, the certificate that it named as replaced.
    pub(crate) fn replaced(&self) -> Vec<Option<String>> {
        self.shared.state().replaced()
    }

    /// Number of requests of a kind that have arrived, including those with a fault.
    pub(crate) fn count(&self, step: Step) -> usize {
        count(&self.shared.counts.borrow(), step)
    }

    /// Waits until a request of a kind has arrived.
    pub(crate) async fn reached(&self, step: Step) {
        self.counted(step, 1).await;
    }

    /// Waits until this number of requests of a kind have arrived.
    pub(crate) async fn counted(&self, step: Step, number: usize) {
        let mut counts = self.shared.counts.subscribe();
        let arrived = counts.wait_for(|counts| count(counts, step) >= number);
        soon(arrived).await.unwrap();
    }
}

fn count(counts: &HashMap<Step, usize>, step: Step) -> usize {
    counts.get(&step).copied().unwrap_or(0)
}

impl Drop for ScriptedCa {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let tls = TlsAcceptor::from(Arc::clone(&shared.api.tls));
    let shutdown = shared.tasks.shutdown();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            () = shutdown.requested() => return,
        };
        let connection = serve(Arc::clone(&shared), tls.clone(), stream);
        let shutdown = shutdown.clone();
        shared.tasks.spawn(async move {
            tokio::select! {
                () = connection => (),
                () = shutdown.requested() => (),
            }
        });
    }
}

async fn serve(shared: Arc<Shared>, tls: TlsAcceptor, stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let service = service_fn(|request| Arc::clone(&shared).answer(request));
    let connection = hyper::server::conn::http1::Builder::new();
    // A cut connection ends in an error here; that is intended.
    let io = TokioIo::new(stream);
    let _ = connection.serve_connection(io, service).await;
}

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let Some(route) = Route::of(head.uri.path(), &body) else {
            return Ok(Reply::new(404, "").into_response());
        };
        let n = self.count(route.step);
        let fault = self.script.fault_of(route.step, n).cloned();
        match &fault {
            Some(Fault::CutBefore) => return Err(Cut),
            Some(Fault::Never) => std::future::pending().await,
            Some(Fault::Late(wait)) => tokio::time::sleep(*wait).await,
            Some(Fault::Endless) => return Ok(endless()),
            Some(Fault::Answer(reply)) => return Ok(self.finish(reply.clone(), route.step)),
            Some(
                Fault::CutAfter
                | Fault::NeverAfter
                | Fault::AnswerAfter(_)
                | Fault::Rewrite(_)
                | Fault::Certificate(_),
            )
            | None => (),
        }
        let reply = match head.method {
            Method::POST => self.post(&route, &head.headers, &body, fault.as_ref()),
            _ => self.get(&route),
        };
        let reply = reply.unwrap_or_else(|refusal| refusal);
        match fault {
            Some(Fault::CutAfter) => Err(Cut),
            Some(Fault::NeverAfter) => std::future::pending().await,
            Some(Fault::AnswerAfter(instead)) => Ok(self.finish(instead, route.step)),
            Some(Fault::Rewrite(rewrite)) => Ok(self.finish(reply.rewritten(&rewrite), route.step)),
            _ => Ok(self.finish(reply, route.step)),
        }
    }

    fn count(&self, step: Step) -> usize {
        let mut number = 0;
        self.counts.send_modify(|counts| {
            let count = counts.entry(step).or_default();
            *count += 1;
            number = *count;
        });
        number
    }

    /// Every answer to a POST carries a nonce, also the answer to a refused one.
    fn finish(&self, reply: Reply, step: Step) -> Response<Body> {
        let reply = match step {
            Step::Directory | Step::RenewalInfo => reply,
            _ => reply.header("replay-nonce", &self.state().new_nonce()),
        };
        reply.into_response()
    }

    fn get(&self, route: &Route) -> Result<Reply, Reply> {
        match route.step {
            Step::Directory => {
                let mut directory = self.state().directory(&self.script);
                if self.script.has_renewal_info {
                    directory["renewalInfo"] = format!("{}/renewal-info", self.base).into();
                }
                Ok(Reply::json(200, &directory))
            }
            Step::RenewalInfo => Ok(Reply::new(404, "")),
            Step::NewNonce => Ok(Reply::new(200, "")),
            _ => Err(Reply::problem(405, "malformed", "POST only")),
        }
    }

    fn post(
        self: &Arc<Self>,
        route: &Route,
        headers: &http::HeaderMap,
        body: &[u8],
        fault: Option<&Fault>,
    ) -> Result<Reply, Reply> {
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if content_type != Some(b"application/jose+json") || !headers.contains_key(USER_AGENT) {
            return Err(Reply::problem(
                415,
                "malformed",
                "wrong type, or no user agent",
            ));
        }
        let signed = Signed::parse(body)?;
        if signed.header.url != format!("{}{}", self.base, route.path) {
            return Err(malformed("signed for another URL"));
        }
        self.state().use_nonce(&signed.header.nonce)?;
        if route.step == Step::NewAccount {
            let key = signed
                .header
                .jwk
                .clone()
                .ok_or_else(|| malformed("no key"))?;
            signed.verify(&key)?;
            return self.state().new_account(key, &signed.json()?);
        }
        let kid = signed
            .header
            .kid
            .as_deref()
            .ok_or_else(|| malformed("no account"))?;
        let (account, key) = self.state().account(kid)?;
        signed.verify(&key)?;
        self.work(route, account, &signed, fault)
    }

    /// Requests that need an account.
    fn work(
        self: &Arc<Self>,
        route: &Route,
        account: usize,
        signed: &Signed,
        fault: Option<&Fault>,
    ) -> Result<Reply, Reply> {
        let is_read = matches!(
            route.step,
            Step::Authorization | Step::Order | Step::Certificate
        );
        if is_read != signed.payload.is_empty() {
            return Err(malformed(
                "a body where none belongs, or none where one does",
            ));
        }
        let number = route.number;
        match route.step {
            Step::NewOrder => self
                .state()
                .new_order(account, &signed.json()?, &self.script),
            Step::Authorization => self.state().authorization(number, &self.script),
            Step::Order => self.state().poll_order(number, &self.script),
            Step::Certificate => self.state().chain(number),
            Step::Deactivate => {
                self.state().deactivate(number)?;
                self.state().authorization(number, &self.script)
            }
            Step::Challenge => self.start_validation(number, &signed.payload),
            Step::Finalize => self.finalize(number, &signed.json()?, fault),
            _ => Err(malformed("not here")),
        }
    }

    fn start_validation(self: &Arc<Self>, number: usize, payload: &[u8]) -> Result<Reply, Reply> {
        if payload != b"{}" {
            return Err(malformed("want {}"));
        }
        let task = self.state().start_validation(number)?;
        let reply = Reply::json(200, &self.state().challenge(number, &self.script)?);
        match self.script.is_validating {
            true => {
                self.tasks.spawn(Arc::clone(self).validate(task));
            }
            false => self.state().end_validation(number, Ok(())),
        }
        Ok(reply)
    }

    /// Validates the challenge (RFC 8555 sections 8.3 and 8.4).
    async fn validate(self: Arc<Self>, task: Validation) {
        let outcome = match &self.script.dns {
            Some(dns) => {
                let texts = dns.texts(&format!("_acme-challenge.{}", task.host));
                match texts.contains(&dns01_value(&task.expected)) {
                    true => Ok(()),
                    false => Err(problem("unauthorized", &format!("found {texts:?}"))),
                }
            }
            None => self.fetch(&task).await,
        };
        self.state().end_validation(task.authorization, outcome);
    }

    async fn fetch(&self, task: &Validation) -> Result<(), Value> {
        let url = format!(
            "http://{}/.well-known/acme-challenge/{}",
            SocketAddr::new(self.script.validator, self.http01_port),
            task.token
        );
        let request = self
            .http
            .get(url)
            .header(HOST, &task.host)
            .timeout(Duration::from_secs(10));
        match request.send().await {
            Ok(answer) => match answer.text().await {
                Ok(text) if text == task.expected => Ok(()),
                text => Err(problem("unauthorized", &format!("got {text:?}"))),
            },
            Err(error) => Err(problem("connection", &error.to_string())),
        }
    }

    fn finalize(
        &self,
        number: usize,
        request: &Value,
        fault: Option<&Fault>,
    ) -> Result<Reply, Reply> {
        let wanted = self.state().wanted(number)?;
        let csr = request["csr"].as_str().ok_or_else(|| malformed("no CSR"))?;
        let wrong = match fault {
            Some(Fault::Certificate(wrong)) => Some(*wrong),
            _ => None,
        };
        let how = (self.script.lifetime, wrong);
        let chain = sign(&self.intermediate, csr, &wanted, how)?;
        self.state().set_chain(number, chain);
        self.state().order(number, &self.script)
    }

    fn state(&self) -> MutexGuard<'_, CaState> {
        self.state.lock().unwrap()
    }
}

fn problem(kind: &str, detail: &str) -> Value {
    serde_json::json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail })
}
