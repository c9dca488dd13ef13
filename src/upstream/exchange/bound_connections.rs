//! Connections to backends that belong to one client's connection, because its user may have logged in on them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::per_worker::CachePadded;
use crate::tasks::Tasks;
use crate::upstream::backend::{HeldConnection, Lane};
use crate::upstream::connection::Http1Connection;

/// Time without a request after which a connection is closed. It is longer than that of pooled connections, because the
/// user's login ends with the connection.
const LONGEST_IDLE: Duration = Duration::from_secs(60);
/// Time between two searches for such connections.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Connections to backends that belong to one client's connection. Requests of other clients never use them: with NTLM
/// and Negotiate, they would be answered in the name of the user who has logged in. They close with the client's
/// connection, and count for the client until then.
#[derive(Clone, Default)]
pub struct BoundConnections(OnceLock<BoundList>);

impl BoundConnections {
    /// List of the connections, if there ever were any.
    pub(in crate::upstream) fn list(&self) -> Option<&BoundList> {
        self.0.get()
    }

    /// List to which a connection can be added.
    pub(super) fn list_or_new(&self) -> &BoundList {
        self.0.get_or_init(BoundList::default)
    }
}

impl fmt::Debug for BoundConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundConnections").finish_non_exhaustive()
    }
}

/// Idle connections of one client's connection, at most one for each backend. Clones share the list.
#[derive(Clone, Debug, Default)]
pub(in crate::upstream) struct BoundList(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    idle: Mutex<Vec<IdleBound>>,
    /// `true` while the task runs that closes expired connections.
    is_swept: AtomicBool,
}

#[derive(Debug)]
struct IdleBound {
    lane: Arc<CachePadded<Lane>>,
    bound: Bound,
    since: Instant,
}

/// A connection that belongs to a client's connection, without a request on it.
#[derive(Debug)]
pub(in crate::upstream) struct Bound {
    pub(in crate::upstream) connection: Http1Connection,
    /// Counts the connection for the client.
    pub(in crate::upstream) held: Option<HeldConnection>,
}

impl BoundList {
    /// Takes the connection to the backend of `lane`. Closes it and returns `None` if the backend has closed it.
    pub(in crate::upstream) fn take(&self, lane: &Arc<CachePadded<Lane>>) -> Option<Bound> {
        let mut idle = self.0.idle.lock();
        let index = idle
            .iter()
            .position(|entry| Arc::ptr_eq(&entry.lane, lane))?;
        let mut bound = idle.swap_remove(index).bound;
        drop(idle);
        bound.connection.check().then_some(bound)
    }

    /// Keeps a connection after the end of a response, unless there is one to the same backend.
    pub(in crate::upstream) fn keep(&self, lane: &Arc<CachePadded<Lane>>, bound: Bound) {
        let mut idle = self.0.idle.lock();
        let is_first = !idle.iter().any(|entry| Arc::ptr_eq(&entry.lane, lane));
        if !bound.connection.is_idle() || !is_first {
            return;
        }
        idle.push(IdleBound {
            lane: Arc::clone(lane),
            bound,
            since: Instant::now(),
        });
        drop(idle);
        self.start_sweep(lane.pool().tasks());
    }

    /// Starts the task that closes expired connections, unless it already runs.
    fn start_sweep(&self, tasks: &Tasks) {
        if self.0.is_swept.swap(true, Ordering::AcqRel) {
            return;
        }
        let (list, shutdown) = (Arc::downgrade(&self.0), tasks.shutdown());
        tasks.spawn(async move {
            tokio::select! {
                () = sweep(list.clone()) => {}
                () = shutdown.requested() => close_all(&list),
            }
        });
    }
}

/// Closes expired connections at intervals, as long as the list has any.
async fn sweep(list: Weak<Shared>) {
    loop {
        sleep(SWEEP_EVERY).await;
        match list.upgrade() {
            Some(list) if list.close_expired() => {}
            _ => return,
        }
    }
}

fn close_all(list: &Weak<Shared>) {
    if let Some(list) = list.upgrade() {
        list.idle.lock().clear();
    }
}

impl Shared {
    /// Closes connections that have been idle for too long. Returns `true` if any connections are left.
    fn close_expired(&self) -> bool {
        let now = Instant::now();
        let mut idle = self.idle.lock();
        idle.retain(|entry| {
            let longest = entry.lane.pool().idle_timeout().max(LONGEST_IDLE);
            now.duration_since(entry.since) < longest
        });
        if idle.is_empty() {
            self.is_swept.store(false, Ordering::Release);
        }
        !idle.is_empty()
    }
}
