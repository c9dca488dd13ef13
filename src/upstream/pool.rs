//! The idle connections of one backend.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::address::{Address, Protocol};
use super::connection::Connection;
use super::http2::Http2;
use super::lease::Waiting;
use crate::tasks::{Shutdown, Tasks};

/// How many times within the idle time-out the pool looks for connections that have outlived it.
const SWEEPS: u32 = 8;

/// Connections that wait for their next request. The last one in is the first one out, so that a burst's surplus ages
/// away. Clones are the same pool.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Oldest first. Locked for a push or a removal, never across an await.
    idle: Mutex<Vec<Idle>>,
    /// Those that many requests share. Locked as briefly.
    shared: Mutex<Vec<Http2>>,
    /// Held by who opens a connection that others may share: they wait for it instead of opening their own.
    opening: tokio::sync::Mutex<()>,
    /// Whether the backend chose HTTP/2 when it was last asked.
    speaks_http2: AtomicBool,
    timeout: Duration,
    is_swept: AtomicBool,
    tasks: Tasks,
    shutdown: Shutdown,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(super) fn new(timeout: Duration, tasks: Tasks) -> Self {
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

    /// What a request to `address` may be sent on now. One that asks for an upgrade needs a connection for itself.
    pub(super) fn check_out(&self, address: &Address, is_upgrade: bool) -> Option<Waiting> {
        if address.protocol() != Protocol::Http
            && !is_upgrade
            && let Some(http2) = self.roomiest(None)
        {
            return Some(Waiting::Stream(http2));
        }
        self.youngest().map(Waiting::Connection)
    }

    /// The shared connection with the fewest streams, if another one finds room there, of those that were made after `since`.
    pub(super) fn roomiest(&self, since: Option<Instant>) -> Option<Http2> {
        let mut shared = self.0.shared();
        shared.retain(Http2::is_open);
        let fit = shared
            .iter()
            .filter(|http2| since.is_none_or(|since| http2.opened() > since) && http2.has_room());
        fit.min_by_key(|http2| http2.streams()).cloned()
    }

    /// Waits until nobody opens a connection to share, where the backend is known to take one.
    pub(super) async fn open_shared(
        &self,
        address: &Address,
    ) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let is_shared = match address.protocol() {
            Protocol::Http => false,
            Protocol::Https => self.0.speaks_http2.load(Ordering::Relaxed),
            Protocol::H2c => true,
        };
        match is_shared {
            true => Some(self.0.opening.lock().await),
            false => None,
        }
    }

    /// Lets other requests share a connection.
    pub(super) fn share(&self, http2: &Http2) {
        self.0.speaks_http2.store(true, Ordering::Relaxed);
        if self.0.shutdown.is_requested() {
            return;
        }
        self.0.shared().push(http2.clone());
        self.0.watch();
    }

    /// Takes note that the backend has chosen HTTP/1.1: nobody waits for a connection to share.
    pub(super) fn share_none(&self) {
        self.0.speaks_http2.store(false, Ordering::Relaxed);
    }

    /// The youngest connection that is open, not too old and done with its last exchange.
    fn youngest(&self) -> Option<Connection> {
        let mut idle = self.0.idle();
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
            // Nobody has looked at it since it was put here.
            connection.drive_unheard();
            if connection.is_ready() {
                return Some(idle.remove(index).connection);
            }
            idle.remove(index);
        }
        None
    }

    /// Drives a connection to its end for a protocol that it has switched to.
    pub(super) fn see_off(&self, mut connection: Connection) {
        self.0.tasks.spawn(poll_fn(move |cx| {
            connection.drive(cx);
            match connection.is_open() {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        }));
    }

    /// Keeps a connection whose response has ended. If its request has not, it is kept from its end on.
    pub(super) fn check_in(&self, connection: Connection) {
        if !connection.is_open() || self.0.shutdown.is_requested() {
            return;
        }
        if !connection.is_ready() {
            self.0.tasks.spawn(finish(connection, self.clone()));
            return;
        }
        self.0.idle().push(Idle {
            connection,
            since: Instant::now(),
        });
        self.0.watch();
    }
}

/// Drives a connection to the end of the request that outlasted its response.
async fn finish(mut connection: Connection, pool: Pool) {
    let is_done = |connection: &Connection| connection.is_ready() || !connection.is_open();
    let shutdown = pool.0.shutdown.clone();
    let finished = poll_fn(|cx| {
        connection.drive(cx);
        match is_done(&connection) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    });
    tokio::select! {
        () = finished => pool.check_in(connection),
        () = shutdown.requested() => {}
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> MutexGuard<'_, Vec<Http2>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the sweep run from now on, if it does not.
    fn watch(self: &Arc<Self>) {
        if !self.is_swept.swap(true, Ordering::AcqRel) {
            self.tasks.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what has waited too long. Returns whether anything is left to watch.
    fn close_expired(&self) -> bool {
        let now = Instant::now();
        let mut idle = self.idle();
        let expired = idle.partition_point(|entry| now.duration_since(entry.since) >= self.timeout);
        idle.drain(..expired);
        let mut shared = self.shared();
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
            pool.idle().clear();
            pool.shared().clear();
            return;
        }
        if !pool.close_expired() {
            return;
        }
    }
}
