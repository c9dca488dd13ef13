//! HTTP on one stream of bytes: HTTP/1.1 or HTTP/2, into the one service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Limits;
use super::activity::Activity;
use super::connection::{self, Broken, Watch, drive};
use super::crowd::Place;
use super::exchanges::Exchanges;
use super::http1::Http1;
use super::http2::{self, Http2};
use super::watched::Watched;
use crate::proxy::{ConnInfo, ProxyService, RejectedEarly, WorkerRefusals};
use crate::tasks::{Shutdown, Tasks};

/// Serves HTTP connections.
pub struct Http {
    service: ProxyService,
    limits: Limits,
    http1: http1::Builder,
    http2: h2::server::Builder,
    tasks: Tasks,
}

/// A connection on which HTTP is spoken.
#[derive(Debug)]
pub struct HttpConnection<S> {
    /// Its bytes.
    pub stream: S,
    /// Whether they are those of HTTP/2.
    pub is_h2: bool,
    /// What is known of it.
    pub info: ConnInfo,
    /// Its place among the open ones, which it keeps while a tunnel lives.
    pub place: Place,
}

impl Http {
    /// Has `service` answer requests within `limits`; the streams of HTTP/2 run among `tasks`.
    #[must_use]
    pub fn new(service: ProxyService, limits: Limits, tasks: Tasks) -> Self {
        Self {
            service,
            http1: connection::http1(&limits),
            http2: http2::builder(&limits),
            limits,
            tasks,
        }
    }

    /// Counts a request that was refused before there was HTTP, and writes its line.
    pub(super) fn note_rejected_early(&self, conn: &ConnInfo, unread: RejectedEarly) {
        self.service.note_rejected_early(conn, unread);
    }

    /// Counts what is refused.
    pub(super) fn refusals(&self) -> &WorkerRefusals {
        self.service.refusals()
    }

    /// Serves one client until it leaves, is overdue, or the process stops.
    ///
    /// The future has no room for the stream, which lies on the heap from the start: a task is as large as all that is handed on
    /// in it.
    pub fn serve<S>(
        &self,
        connection: HttpConnection<S>,
        shutdown: &Shutdown,
    ) -> impl Future<Output = ()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let HttpConnection {
            stream,
            is_h2,
            info,
            place,
        } = connection;
        let activity = Activity::new(is_h2);
        let exchanges = Arc::new(Exchanges {
            service: self.service.clone(),
            info: Arc::new(info),
            activity: Arc::clone(&activity),
        });
        let stream = Watched::new(stream, Arc::clone(&activity), place);
        let answering = Arc::clone(&exchanges);
        let conversation = match is_h2 {
            true => Either::Left(Box::pin(Http2::new(
                &self.http2,
                stream,
                answering,
                &self.tasks,
            ))),
            false => {
                let service = service_fn(move |request| {
                    let answer = answering.call::<Incoming>(request, None);
                    async { Ok::<_, Infallible>(answer.await) }
                });
                let activity = Arc::clone(&activity);
                Either::Right(Box::pin(Http1::new(&self.http1, stream, service, activity)))
            }
        };
        async move {
            let watch = Watch {
                activity: &activity,
                limits: &self.limits,
                shutdown,
                refusals: self.refusals(),
            };
            let broken = match conversation {
                Either::Left(http2) => drive(http2, watch).await,
                Either::Right(http1) => drive(http1, watch).await,
            };
            if let Some(broken) = broken {
                self.tell(&broken, &exchanges);
            }
        }
    }

    /// Counts what has ended a connection where that is a refusal or a broken answer.
    fn tell(&self, broken: &Broken, exchanges: &Exchanges) {
        if let Some(unread) = connection::unread(broken, &exchanges.activity) {
            self.service.note_rejected_early(&exchanges.info, unread);
        }
        if let Some(reason) = connection::broken_answer(broken) {
            self.refusals().count(reason);
        }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}
