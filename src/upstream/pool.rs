//! The idle connections of one backend.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
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
            timeout,
            is_swept: AtomicBool::new(false),
            shutdown: tasks.shutdown(),
            tasks,
        }))
    }

    /// The youngest connection that is open, not too old and done with its last exchange.
    pub(super) fn check_out(&self) -> Option<Connection> {
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
        if !self.0.is_swept.swap(true, Ordering::AcqRel) {
            self.0.tasks.spawn(sweep(Arc::downgrade(&self.0)));
        }
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

    /// Closes what has waited too long. Returns whether anything is left to watch.
    fn close_expired(&self) -> bool {
        let now = Instant::now();
        let mut idle = self.idle();
        let expired = idle.partition_point(|entry| now.duration_since(entry.since) >= self.timeout);
        idle.drain(..expired);
        if idle.is_empty() {
            self.is_swept.store(false, Ordering::Release);
        }
        !idle.is_empty()
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
            return;
        }
        if !pool.close_expired() {
            return;
        }
    }
}
