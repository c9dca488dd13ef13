//! HTTP on one stream of bytes: HTTP/1.1 or HTTP/2, into the one service.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Limits;
use super::activity::Activity;
use super::connection::{self, Watch, drive};
use super::crowd::Place;
use super::exchanges::Exchanges;
use super::http1::Http1;
use super::http2::{self, Http2};
use super::watched::Watched;
use crate::proxy::{ConnInfo, ProxyService, Tally, Unread};
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
    pub(super) fn note_unread(&self, conn: &ConnInfo, unread: Unread) {
        self.service.note_unread(conn, unread);
    }

    /// Counts what is refused.
    pub(super) fn tally(&self) -> &Tally {
        self.service.tally()
    }

    /// Serves one client until it leaves, is overdue, or the process stops.
    pub async fn serve<S>(&self, connection: HttpConnection<S>, shutdown: &Shutdown)
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
        let watch = Watch {
            activity: &activity,
            limits: &self.limits,
            shutdown,
            tally: self.tally(),
        };
        let stream = Watched::new(stream, Arc::clone(&activity), place);
        let broken = match is_h2 {
            true => {
                let exchanges = Arc::clone(&exchanges);
                let connection = Http2::new(&self.http2, stream, exchanges, &self.tasks);
                drive(Box::pin(connection), watch).await
            }
            false => {
                let service = service_fn(|request| {
                    let answer = exchanges.call::<Incoming>(request, None);
                    async { Ok::<_, Infallible>(answer.await) }
                });
                let connection = Box::pin(Http1::new(&self.http1, stream, service, &activity));
                drive(connection, watch).await
            }
        };
        let Some(broken) = broken else {
            return;
        };
        if let Some(unread) = connection::unread(&broken, &activity) {
            self.service.note_unread(&exchanges.info, unread);
        }
        if let Some(reason) = connection::broken_answer(&broken) {
            self.tally().count(reason);
        }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}
