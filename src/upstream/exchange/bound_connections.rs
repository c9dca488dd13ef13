//! Connections to backends that belong to one client's connection, because its user may have logged in on them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::per_worker::CachePadded;
use crate::upstream::backend::Lane;
use crate::upstream::connection::Http1Connection;

/// Connections to backends that belong to one client's connection. Requests of other clients never use them: with NTLM
/// and Negotiate, they would be answered in the name of the user who has logged in. They close with the client's
/// connection.
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
pub(in crate::upstream) struct BoundList(Arc<Mutex<Vec<Bound>>>);

#[derive(Debug)]
struct Bound {
    lane: Arc<CachePadded<Lane>>,
    connection: Http1Connection,
}

impl BoundList {
    /// Takes the connection to the backend of `lane`. Closes it and returns `None` if the backend has closed it.
    pub(in crate::upstream) fn take(
        &self,
        lane: &Arc<CachePadded<Lane>>,
    ) -> Option<Http1Connection> {
        let mut list = self.0.lock();
        let index = list
            .iter()
            .position(|bound| Arc::ptr_eq(&bound.lane, lane))?;
        let mut connection = list.swap_remove(index).connection;
        drop(list);
        connection.check().then_some(connection)
    }

    /// Keeps a connection after the end of a response, unless there is one to the same backend.
    pub(in crate::upstream) fn keep(
        &self,
        lane: &Arc<CachePadded<Lane>>,
        connection: Http1Connection,
    ) {
        let mut list = self.0.lock();
        let is_first = !list.iter().any(|bound| Arc::ptr_eq(&bound.lane, lane));
        if connection.is_idle() && is_first {
            let lane = Arc::clone(lane);
            list.push(Bound { lane, connection });
        }
    }
}
