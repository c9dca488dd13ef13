//! The load that no common tool makes: full and resumed TLS 1.3 handshakes over X25519, connections that stay idle, and
//! first visits to many names. It prints one line of JSON.

use std::io::{self, BufRead as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::{Parser, Subcommand, ValueEnum};
use futures_util::future::{join_all, select};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme, version};
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Failure = Box<dyn std::error::Error>;
type Secure = TlsStream<TcpStream>;

/// How long one connection with its request may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Arguments {
    /// Where the proxy listens; loopback only.
    address: SocketAddr,
    /// The name to ask for.
    name: String,
    #[command(subcommand)]
    load: Load,
}

#[derive(Clone, Copy, Subcommand)]
enum Load {
    /// One connection per request, many at once, for a while.
    Connect {
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        seconds: f64,
        /// Resume by ticket, wherever the server gave one.
        #[arg(long)]
        resume: bool,
        /// Ask for nINDEX.NAME, each name in turn.
        #[arg(long, default_value_t = 0)]
        names: usize,
    },
    /// Connections that stay open after one request each, until standard input says so or ends.
    Hold {
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        protocol: Protocol,
    },
    /// One visit to each of nINDEX.NAME, one after the other.
    Visit {
        #[arg(long)]
        names: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    H1,
    H2,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    if !arguments.address.ip().is_loopback() {
        return Err("the load goes to this machine only".into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let target = Target {
            address: arguments.address,
            name: arguments.name.into(),
        };
        match arguments.load {
            Load::Connect {
                connections,
                seconds,
                resume,
                names,
            } => {
                let until = Instant::now() + Duration::from_secs_f64(seconds);
                let plan = Plan {
                    until,
                    resume,
                    names,
                };
                connect_for_a_while(&target, connections, plan).await
            }
            Load::Hold {
                connections,
                protocol,
            } => hold(&target, connections, protocol).await,
            Load::Visit { names } => visit(&target, names).await,
        }
    })
}

struct Target {
    address: SocketAddr,
    name: Rc<str>,
}

#[derive(Clone, Copy)]
struct Plan {
    until: Instant,
    resume: bool,
    names: usize,
}

/// What one loop of connections came to.
#[derive(Default)]
struct Outcome {
    full: usize,
    retried: usize,
    resumed: usize,
    micros: Vec<u128>,
    failures: Vec<String>,
}

async fn connect_for_a_while(
    target: &Target,
    connections: usize,
    plan: Plan,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let loops = (0..connections).map(|index| connect_in_turn(target, index, connections, plan));
    let outcomes = join_all(loops).await;
    let seconds = begin.elapsed().as_secs_f64();
    let mut micros: Vec<_> = outcomes.iter().flat_map(|one| &one.micros).collect();
    micros.sort_unstable();
    let at = |share: usize| micros.get(micros.len() * share / 100);
    let failures: Vec<_> = outcomes.iter().flat_map(|one| &one.failures).collect();
    print(&json!({
        "requests": micros.len(),
        "seconds": seconds,
        "errors": failures.len(),
        "first_error": failures.first(),
        "p50_us": at(50),
        "p99_us": at(99),
        "full": outcomes.iter().map(|one| one.full).sum::<usize>(),
        "retried": outcomes.iter().map(|one| one.retried).sum::<usize>(),
        "resumed": outcomes.iter().map(|one| one.resumed).sum::<usize>(),
    }))
}

async fn connect_in_turn(target: &Target, first: usize, step: usize, plan: Plan) -> Outcome {
    let config = tls(Protocol::H1, plan.resume);
    let mut outcome = Outcome::default();
    let mut turn = first;
    while Instant::now() < plan.until && outcome.failures.len() < 10 {
        let name = match plan.names {
            0 => target.name.to_string(),
            names => format!("n{}.{}", turn % names, target.name),
        };
        turn += step;
        let begin = Instant::now();
        match once(target.address, &name, &config).await {
            Ok(kind) => {
                outcome.micros.push(begin.elapsed().as_micros());
                match kind {
                    HandshakeKind::Full => outcome.full += 1,
                    HandshakeKind::FullWithHelloRetryRequest => outcome.retried += 1,
                    HandshakeKind::Resumed => outcome.resumed += 1,
                }
            }
            Err(error) => outcome.failures.push(error.to_string()),
        }
    }
    outcome
}

async fn visit(target: &Target, names: usize) -> Result<(), Failure> {
    let config = tls(Protocol::H1, false);
    let mut millis = Vec::new();
    for index in 0..names {
        let name = format!("n{index}.{}", target.name);
        let begin = Instant::now();
        once(target.address, &name, &config).await?;
        millis.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    print(&json!({ "millis": millis }))
}

async fn hold(target: &Target, connections: usize, protocol: Protocol) -> Result<(), Failure> {
    let config = tls(protocol, false);
    let mut held = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = open(target.address, &target.name, &config).await?;
        held.push(timeout(PATIENCE, Held::after_one_request(stream, target, protocol)).await??);
    }
    print(&json!({ "held": held.len() }))?;
    let until = tokio::task::spawn_blocking(|| io::stdin().lock().lines().next());
    until.await?.transpose()?;
    print(&json!({ "still_open": held.iter().filter(|one| one.is_open()).count() }))
}

/// An idle connection.
enum Held {
    H1(http1::SendRequest<Empty<Bytes>>),
    H2(http2::SendRequest<Empty<Bytes>>),
}

impl Held {
    async fn after_one_request(
        stream: Secure,
        target: &Target,
        protocol: Protocol,
    ) -> Result<Self, Failure> {
        let io = TokioIo::new(stream);
        match protocol {
            Protocol::H1 => {
                let (mut sender, connection) = http1::handshake(io).await?;
                tokio::task::spawn_local(connection);
                read(
                    sender
                        .send_request(request("/small", &target.name)?)
                        .await?,
                )
                .await?;
                sender.ready().await?;
                Ok(Self::H1(sender))
            }
            Protocol::H2 => {
                let (mut sender, connection) = http2::handshake(LocalExecutor, io).await?;
                tokio::task::spawn_local(connection);
                let url = format!("https://{}/small", target.name);
                read(sender.send_request(request(&url, &target.name)?).await?).await?;
                Ok(Self::H2(sender))
            }
        }
    }

    fn is_open(&self) -> bool {
        match self {
            Self::H1(sender) => !sender.is_closed(),
            Self::H2(sender) => !sender.is_closed(),
        }
    }
}

#[derive(Clone)]
struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// One connection with one request, and what its handshake was.
async fn once(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<HandshakeKind, Failure> {
    let exchange = async {
        let stream = open(address, name, config).await?;
        let kind = stream.get_ref().1.handshake_kind();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut connection = Box::pin(connection);
        let answer =
            Box::pin(async { read(sender.send_request(request("/small", name)?).await?).await });
        match select(answer, &mut connection).await {
            futures_util::future::Either::Left((answer, _)) => answer?,
            futures_util::future::Either::Right((end, answer)) => {
                end?;
                answer.await?;
            }
        }
        kind.ok_or_else(|| "no handshake".into())
    };
    timeout(PATIENCE, exchange).await?
}

async fn open(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<Secure, Failure> {
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned())?;
    let connector = TlsConnector::from(config.clone());
    Ok(timeout(PATIENCE, connector.connect(name, stream)).await??)
}

fn request(target: &str, host: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
    let request = Request::get(target);
    let request = match target.starts_with('/') {
        true => request.header("host", host),
        false => request,
    };
    request.body(Empty::new())
}

async fn read(answer: http::Response<Incoming>) -> Result<(), Failure> {
    let status = answer.status();
    answer.into_body().collect().await?;
    match status {
        StatusCode::OK => Ok(()),
        status => Err(format!("it answered {status}").into()),
    }
}

/// TLS 1.3 with AES-128-GCM over X25519 alone, so that every server does the same work.
fn tls(protocol: Protocol, resume: bool) -> Arc<ClientConfig> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    });
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&version::TLS13])
        .expect("the suite above is one of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustsAll(provider)))
        .with_no_client_auth();
    config.resumption = match resume {
        true => Resumption::in_memory_sessions(256),
        false => Resumption::disabled(),
    };
    config.alpn_protocols = match protocol {
        Protocol::H1 => vec![b"http/1.1".to_vec()],
        Protocol::H2 => vec![b"h2".to_vec()],
    };
    Arc::new(config)
}

/// Asks nothing of a certificate: the load is not about the client's work.
#[derive(Debug)]
struct TrustsAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn print(value: &serde_json::Value) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
