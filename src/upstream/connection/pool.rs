//! The idle connections of one backend.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::http1::Http1Connection;
use super::http2::Http2Connection;
use crate::tasks::{Shutdown, Tasks};
use crate::upstream::address::{Address, Protocol};

/// Number of times within the idle time-out that the pool looks for expired connections.
const SWEEPS: u32 = 8;

/// Connections that wait for their next request. The last one in is the first one out, so that the surplus of a burst
/// expires. Clones share the pool.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Oldest first. Locked for a push or a removal, never across an await.
    idle: Mutex<Vec<Idle>>,
    /// HTTP/2 connections, which many requests share. Locked as briefly.
    shared: Mutex<Vec<Http2Connection>>,
    /// Held while a connection is opened that others may share: they wait for it instead of opening their own.
    opening: tokio::sync::Mutex<()>,
    /// `true` if the backend chose HTTP/2 at the last handshake.
    speaks_http2: AtomicBool,
    timeout: Duration,
    is_swept: AtomicBool,
    tasks: Tasks,
    shutdown: Shutdown,
}

/// A connection that a request may be sent on.
#[derive(Debug)]
pub(in crate::upstream) enum PooledConnection {
    Http1(Http1Connection),
    Http2(Http2Connection),
}

#[derive(Debug)]
struct Idle {
    connection: Http1Connection,
    since: Instant,
}

impl Pool {
    pub(in crate::upstream) fn new(timeout: Duration, tasks: Tasks) -> Self {
        Self(Arc::new(Shared {
            idle: Mutex::new(Vec::new()),
            shared: Mutex::new(Vec::new()),
            opening: tokio::sync::Mutex::new(()),
            speaks_http2: AtomicBool::new(false),
            timeout,
            is_swept: AtomicBool::new(false),
            shutdown: tasks.shutdown(),
            tasks,
        }))
    }

    /// A connection on which a request to `address` may be sent now. One that asks for an upgrade needs a connection for
    /// itself.
    pub(in crate::upstream) fn check_out(
        &self,
        address: &Address,
        is_upgrade: bool,
    ) -> Option<PooledConnection> {
        if address.protocol() != Protocol::Http
            && !is_upgrade
            && let Some(http2) = self.least_used(None)
        {
            return Some(PooledConnection::Http2(http2));
        }
        self.youngest().map(PooledConnection::Http1)
    }

    /// The shared connection with the fewest streams that has room for another one, of those that were opened after `since`.
    pub(in crate::upstream) fn least_used(
        &self,
        since: Option<Instant>,
    ) -> Option<Http2Connection> {
        let mut shared = self.0.shared.lock();
        shared.retain(Http2Connection::is_open);
        let fit = shared
            .iter()
            .filter(|http2| since.is_none_or(|since| http2.opened() > since) && http2.has_room());
        fit.min_by_key(|http2| http2.streams()).cloned()
    }

    /// Waits for the right to open a shared connection, if the backend is known to speak HTTP/2.
    pub(in crate::upstream) async fn wait_for_shared(
        &self,
        address: &Address,
    ) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let is_shared = match address.protocol() {
            Protocol::Http => false,
            Protocol::Https => self.0.speaks_http2.load(Ordering::Relaxed),
            Protocol::H2c => true,
        };
        if is_shared {
            Some(self.0.opening.lock().await)
        } else {
            None
        }
    }

    /// Adds a connection that other requests may share.
    pub(in crate::upstream) fn add_shared(&self, http2: &Http2Connection) {
        self.0.speaks_http2.store(true, Ordering::Relaxed);
        if self.0.shutdown.is_requested() {
            return;
        }
        self.0.shared.lock().push(http2.clone());
        self.0.watch();
    }

    /// Records that the backend has chosen HTTP/1.1, so that no request waits for a shared connection.
    pub(in crate::upstream) fn note_http1(&self) {
        self.0.speaks_http2.store(false, Ordering::Relaxed);
    }

    /// The youngest connection that is open, not too old and done with its last exchange.
    fn youngest(&self) -> Option<Http1Connection> {
        let mut idle = self.0.idle.lock();
        if idle.is_empty() {
            return None;
        }
        let now = Instant::now();
        for index in (0..idle.len()).rev() {
            if now.duration_since(idle[index].since) >= self.0.timeout {
                idle.drain(..=index);
                return None;
            }
            let connection = &mut idle[index].connection;
            // Nothing has read from it since it was put here.
            connection.drive_without_waker();
            if connection.is_ready() {
                return Some(idle.remove(index).connection);
            }
            idle.remove(index);
        }
        None
    }

    /// Drives a connection to its end, for the protocol that it has switched to.
    pub(in crate::upstream) fn drive_tunnel(&self, mut connection: Http1Connection) {
        self.0.tasks.spawn(poll_fn(move |cx| {
            connection.drive(cx);
            if connection.is_open() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        }));
    }

    /// Adds a connection whose response has ended. If its request has not, it is added when that ends.
    pub(in crate::upstream) fn check_in(&self, connection: Http1Connection) {
        if !connection.is_open() || self.0.shutdown.is_requested() {
            return;
        }
        if !connection.is_ready() {
            self.0.tasks.spawn(finish(connection, self.clone()));
            return;
        }
        self.0.idle.lock().push(Idle {
            connection,
            since: Instant::now(),
        });
        self.0.watch();
    }
}

/// Drives a connection to the end of the request that outlasted its response.
async fn finish(mut connection: Http1Connection, pool: Pool) {
    let is_done = |connection: &Http1Connection| connection.is_ready() || !connection.is_open();
    let shutdown = pool.0.shutdown.clone();
    let finished = poll_fn(|cx| {
        connection.drive(cx);
        if is_done(&connection) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    tokio::select! {
        () = finished => pool.check_in(connection),
        () = shutdown.requested() => {}
    }
}

impl Shared {
    /// Starts the sweep, if it does not run.
    fn watch(self: &Arc<Self>) {
        if !self.is_swept.swap(true, Ordering::AcqRel) {
            self.tasks.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes connections that have waited too long. Returns `true` if any are left.
    fn close_expired(&self) -> bool {
        let now = Instant::now();
        let mut idle = self.idle.lock();
        let expired = idle.partition_point(|entry| now.duration_since(entry.since) >= self.timeout);
        idle.drain(..expired);
        let mut shared = self.shared.lock();
        let is_expired = |since: Instant| now.duration_since(since) >= self.timeout;
        shared.retain(|http2| http2.is_open() && !http2.idle_since().is_some_and(is_expired));
        let is_empty = idle.is_empty() && shared.is_empty();
        if is_empty {
            self.is_swept.store(false, Ordering::Release);
        }
        !is_empty
    }
}

/// The pool's one timer: runs while connections wait, and closes them all when the process stops.
async fn sweep(pool: Weak<Shared>) {
    loop {
        let Some((period, shutdown)) = pool
            .upgrade()
            .map(|pool| (pool.timeout / SWEEPS, pool.shutdown.clone()))
        else {
            return;
        };
        let stopped = tokio::time::timeout(period, shutdown.requested())
            .await
            .is_ok();
        let Some(pool) = pool.upgrade() else {
            return;
        };
        if stopped {
            pool.idle.lock().clear();
            pool.shared.lock().clear();
            return;
        }
        if !pool.close_expired() {
            return;
        }
    }
}
