//! A plain port 80: a solver and the listener that the CA fetches from.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;

use dashmap::DashMap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proxy::acme::{ChallengeType, Identifier, KeyAuthorization, Presented, Solver, SolverError};
use proxy::tasks::Tasks;
use tokio::net::TcpListener;
use tokio::sync::watch;

type Table = Arc<DashMap<String, (String, watch::Sender<bool>)>>;

/// A running responder; dropping the value stops it.
pub(crate) struct Http01 {
    port: u16,
    table: Table,
    tasks: Tasks,
}

impl Http01 {
    /// Listens on a free loopback port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (table, tasks) = (Table::default(), Tasks::new());
        tasks.spawn(accept(Arc::clone(&table), listener, tasks.clone()));
        Self { port, table, tasks }
    }

    /// Port that the CA fetches from.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Number of challenges that are published.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }
}

impl Solver for Http01 {
    fn challenge_type(&self) -> ChallengeType {
        ChallengeType::Http01
    }

    fn present<'a>(
        &'a self,
        _: &'a Identifier,
        token: &'a str,
        key_authorization: &'a KeyAuthorization,
    ) -> BoxFuture<'a, Result<Presented, SolverError>> {
        let (signal, seen) = watch::channel(false);
        let body = key_authorization.http01_body().to_owned();
        self.table.insert(token.to_owned(), (body, signal));
        let (table, token) = (Arc::clone(&self.table), token.to_owned());
        let presented = Presented::new(seen, move || drop(table.remove(&token)));
        async move { Ok(presented) }.boxed()
    }
}

impl Drop for Http01 {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

async fn accept(table: Table, listener: TcpListener, tasks: Tasks) {
    let shutdown = tasks.shutdown();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            () = shutdown.requested() => return,
        };
        let (table, shutdown) = (Arc::clone(&table), shutdown.clone());
        tasks.spawn(async move {
            let service = service_fn(|request| answer(&table, request));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => (),
                () = shutdown.requested() => (),
            }
        });
    }
}

async fn answer(
    table: &Table,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let token = request
        .uri()
        .path()
        .strip_prefix("/.well-known/acme-challenge/");
    let Some(entry) = token.and_then(|token| table.get(token)) else {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    let (body, signal) = &*entry;
    signal.send_replace(true);
    Ok(Response::new(Full::new(body.clone().into())))
}
