//! Pool of the idle and shared connections of one backend and worker.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use super::http1::Http1Connection;
use super::http2::Http2Connection;
use crate::name::HostName;
use crate::tasks::{Shutdown, Tasks};
use crate::upstream::address::{Address, Protocol};

/// Number of searches for expired connections within the idle time-out.
const SWEEPS: u32 = 8;

/// Connections on which further requests can be sent. Idle ones are reused in last-in, first-out order, so that surplus
/// connections of a burst expire. Clones share the pool.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Idle HTTP/1.1 connections, oldest first.
    idle: Mutex<Vec<Idle>>,
    /// HTTP/2 connections, each shared by many requests.
    shared: Mutex<Vec<Http2Connection>>,
    /// For each server name, the lock that is held while a shared connection is opened. Other requests for the name wait
    /// for it instead of opening their own. Those for other names do not, since a handshake may hang for one name only.
    opening: Mutex<Vec<Opening>>,
    /// `true` if the backend chose HTTP/2 at the last handshake.
    speaks_http2: AtomicBool,
    /// `true` after the backend has asked for HTTP/1.1.
    requires_http1: AtomicBool,
    timeout: Duration,
    /// `true` while the task runs that closes expired connections.
    is_swept: AtomicBool,
    tasks: Tasks,
    shutdown: Shutdown,
}

/// A connection from the pool, on which a request can be sent.
#[derive(Debug)]
pub(in crate::upstream) enum PooledConnection {
    /// A connection for one request, and the time at which it was taken.
    Http1(Http1Connection, Instant),
    Http2(Http2Connection),
}

/// Lock of the requests that need a shared connection for one server name. It is gone when nobody holds or awaits it.
#[derive(Debug)]
struct Opening {
    server_name: Option<HostName>,
    lock: Weak<tokio::sync::Mutex<()>>,
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
            opening: Mutex::new(Vec::new()),
            speaks_http2: AtomicBool::new(false),
            requires_http1: AtomicBool::new(false),
            timeout,
            is_swept: AtomicBool::new(false),
            shutdown: tasks.shutdown(),
            tasks,
        }))
    }

    /// Returns a connection on which a request to `address` can be sent now; `None` if there is none. A request that
    /// asks for an upgrade only gets an HTTP/1.1 connection. The TLS handshake must have named `server_name`.
    pub(in crate::upstream) fn check_out(
        &self,
        address: &Address,
        is_upgrade: bool,
        server_name: Option<&HostName>,
    ) -> Option<PooledConnection> {
        if address.protocol() != Protocol::Http
            && !is_upgrade
            && !self.requires_http1()
            && let Some(http2) = self.least_used(None, server_name)
        {
            return Some(PooledConnection::Http2(http2));
        }
        let (connection, now) = self.youngest(server_name)?;
        Some(PooledConnection::Http1(connection, now))
    }

    /// Tasks of the worker.
    pub(in crate::upstream) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// Time without a request after which a pooled connection is closed.
    pub(in crate::upstream) fn idle_timeout(&self) -> Duration {
        self.0.timeout
    }

    /// `true` if the backend has asked for HTTP/1.1.
    pub(in crate::upstream) fn requires_http1(&self) -> bool {
        self.0.requires_http1.load(Ordering::Relaxed)
    }

    /// Records that the backend has asked for HTTP/1.1 (RFC 9113 section 7), so that no further request uses HTTP/2.
    pub(in crate::upstream) fn require_http1(&self) {
        self.0.requires_http1.store(true, Ordering::Relaxed);
        self.note_http1();
    }

    /// Returns the shared connection with the fewest streams that has room for another one; `None` if there is none.
    /// Considers only connections that were opened after `since` and whose TLS handshake has named `server_name`.
    pub(in crate::upstream) fn least_used(
        &self,
        since: Option<Instant>,
        server_name: Option<&HostName>,
    ) -> Option<Http2Connection> {
        let mut shared = self.0.shared.lock();
        shared.retain(Http2Connection::is_open);
        let fit = shared.iter().filter(|http2| {
            http2.server_name() == server_name
                && since.is_none_or(|since| http2.opened() > since)
                && http2.has_room()
        });
        fit.min_by_key(|http2| http2.streams()).cloned()
    }

    /// `true` if one connection to `address` carries many requests at a time, as far as the backend is known.
    pub(in crate::upstream) fn is_shared(&self, address: &Address) -> bool {
        match address.protocol() {
            Protocol::Http => false,
            Protocol::Https => self.0.speaks_http2.load(Ordering::Relaxed),
            Protocol::H2c => true,
        }
    }

    /// Waits until no other request is opening a shared connection whose handshake names `server_name`. Returns `None` at
    /// once if the backend is not known to speak HTTP/2, so that its connections are not shared. Fails when no connection
    /// was opened for `limit`, because at a backend that never accepts, all requests would fail one after the other.
    pub(in crate::upstream) async fn wait_for_shared(
        &self,
        address: &Address,
        server_name: Option<&HostName>,
        limit: Duration,
    ) -> Result<Option<OwnedMutexGuard<()>>, Elapsed> {
        if !self.is_shared(address) {
            return Ok(None);
        }
        let mut locking = pin!(self.0.opening(server_name).lock_owned());
        let mut since = Instant::now();
        loop {
            let elapsed = match timeout_at(since + limit, locking.as_mut()).await {
                Ok(opening) => return Ok(Some(opening)),
                Err(elapsed) => elapsed,
            };
            since = self.0.opened_after(since, server_name).ok_or(elapsed)?;
        }
    }

    /// Ends the wait of the requests for a shared connection when `http2`, which was just opened, has told how many of them it
    /// takes, or after `limit`.
    pub(in crate::upstream) fn end_opening(
        &self,
        opening: OwnedMutexGuard<()>,
        http2: &Http2Connection,
        limit: Duration,
    ) {
        let told = timeout(limit, http2.clone().told());
        self.0.tasks.spawn(async move {
            let _ = told.await;
            drop(opening);
        });
    }

    /// Adds a connection for other requests to share.
    pub(in crate::upstream) fn add_shared(&self, http2: &Http2Connection) {
        let is_wanted = !self.requires_http1();
        self.0.speaks_http2.store(is_wanted, Ordering::Relaxed);
        if self.0.shutdown.is_requested() {
            return;
        }
        self.0.shared.lock().push(http2.clone());
        self.0.start_sweep();
    }

    /// Records that the backend chose HTTP/1.1, so that no request waits for a shared connection.
    pub(in crate::upstream) fn note_http1(&self) {
        self.0.speaks_http2.store(false, Ordering::Relaxed);
    }

    /// Takes the idle connection for `server_name` that was used last and is still open. Closes the others that it finds
    /// closed or expired.
    fn youngest(&self, server_name: Option<&HostName>) -> Option<(Http1Connection, Instant)> {
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
            if connection.server_name() != server_name {
                continue;
            }
            if connection.check() {
                return Some((idle.remove(index).connection, now));
            }
            idle.remove(index);
        }
        None
    }

    /// Adds a connection after the end of a response, if another request may follow. Returns it if its request has not ended
    /// yet.
    pub(in crate::upstream) fn check_in(
        &self,
        connection: Http1Connection,
    ) -> Option<Http1Connection> {
        if self.0.shutdown.is_requested() {
            return None;
        }
        if !connection.http().is_sent() {
            return Some(connection);
        }
        if connection.is_idle() {
            self.0.idle.lock().push(Idle {
                connection,
                since: Instant::now(),
            });
            self.0.start_sweep();
        }
        None
    }

    /// Spawns a task that adds a connection when its request has ended. The task holds `request` until then.
    pub(in crate::upstream) fn check_in_later(
        &self,
        connection: Http1Connection,
        request: impl Send + 'static,
    ) {
        let finishing = finish(connection, self.clone());
        self.0.tasks.spawn(async move {
            finishing.await;
            drop(request);
        });
    }
}

/// Drives a connection to the end of its request, and then adds it to the pool.
async fn finish(mut connection: Http1Connection, pool: Pool) {
    let shutdown = pool.0.shutdown.clone();
    tokio::select! {
        () = poll_fn(|cx| connection.poll_sent(cx)) => drop(pool.check_in(connection)),
        () = shutdown.requested() => {}
    }
}

impl Shared {
    /// Time at which the last shared connection for `server_name` was opened, if that was after `since`.
    fn opened_after(&self, since: Instant, server_name: Option<&HostName>) -> Option<Instant> {
        let shared = self.shared.lock();
        let same = shared.iter().filter(|it| it.server_name() == server_name);
        let last = same.map(Http2Connection::opened).max();
        last.filter(|last| *last > since)
    }

    /// Lock of the requests that need a shared connection for `server_name`.
    fn opening(&self, server_name: Option<&HostName>) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.opening.lock();
        all.retain(|opening| opening.lock.strong_count() > 0);
        let found = all
            .iter()
            .find(|opening| opening.server_name.as_ref() == server_name);
        if let Some(lock) = found.and_then(|opening| opening.lock.upgrade()) {
            return lock;
        }
        let lock = Arc::default();
        all.push(Opening {
            server_name: server_name.cloned(),
            lock: Arc::downgrade(&lock),
        });
        lock
    }

    /// Starts the task that closes expired connections, unless it already runs.
    fn start_sweep(self: &Arc<Self>) {
        if !self.is_swept.swap(true, Ordering::AcqRel) {
            self.tasks.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes connections that have been idle for too long. Returns `true` if any connections are left.
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

/// Closes expired connections at intervals, as long as the pool has any. Closes all of them when the process stops. One
/// timer for the whole pool is cheaper than one for each connection.
async fn sweep(pool: Weak<Shared>) {
    loop {
        let Some((period, shutdown)) = pool
            .upgrade()
            .map(|pool| (pool.timeout / SWEEPS, pool.shutdown.clone()))
        else {
            return;
        };
        let stopped = timeout(period, shutdown.requested()).await.is_ok();
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_is_being_opened_delays_only_requests_for_its_name() {
        let address = Address::parse("h2c://127.0.0.1:1").unwrap();
        let pool = Pool::new(Duration::from_secs(1), Tasks::new());
        let [slow, other] = ["slow", "other"].map(|name| HostName::parse(name).unwrap());
        let wait = |name| pool.wait_for_shared(&address, name, Duration::from_secs(1));
        let held = wait(Some(&slow)).await.unwrap();
        assert!(held.is_some());
        let mut same = Box::pin(wait(Some(&slow)));
        assert!((&mut same).now_or_never().is_none());
        for name in [Some(&other), None] {
            let opening = wait(name);
            assert!(opening.now_or_never().is_some(), "{name:?}");
        }
        drop(held);
        assert!(same.now_or_never().is_some());
        drop(wait(None).await);
        assert_eq!(pool.0.opening.lock().len(), 1, "others are forgotten");
    }
}
