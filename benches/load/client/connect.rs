//! One connection per request.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::{Either, join_all, select};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, HandshakeKind};
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::exchange::{PATIENCE, open, read, request};
use super::tls::tls;
use super::{Failure, Protocol, Target, print};

/// Settings of all connection loops.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) until: Instant,
    /// Largest number of connections that each loop makes.
    pub(crate) requests: usize,
    pub(crate) resume: bool,
    pub(crate) names: usize,
}

/// Results of one connection loop.
#[derive(Default)]
struct Outcome {
    full: usize,
    retried: usize,
    resumed: usize,
    micros: Vec<u128>,
    failures: Vec<String>,
}

pub(crate) async fn connect_for_a_while(
    target: &Target,
    connections: usize,
    plan: Plan,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let loops = (0..connections).map(|_| connect_in_turn(target, plan));
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

async fn connect_in_turn(target: &Target, plan: Plan) -> Outcome {
    let config = tls(Protocol::H1, plan.resume);
    let mut outcome = Outcome::default();
    while Instant::now() < plan.until
        && outcome.failures.len() < 10
        && outcome.micros.len() < plan.requests
    {
        let name = match plan.names {
            0 => target.name.to_string(),
            names => format!("n{}.{}", fastrand::usize(..names), target.name),
        };
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

pub(crate) async fn visit(target: &Target, names: usize) -> Result<(), Failure> {
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

/// Makes one connection with one request; returns how its handshake went.
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
            Either::Left((answer, _)) => answer?,
            Either::Right((end, answer)) => {
                end?;
                answer.await?;
            }
        }
        kind.ok_or_else(|| "no handshake".into())
    };
    timeout(PATIENCE, exchange).await?
}
