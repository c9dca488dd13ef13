//! The log lines about names of backends that do not resolve. One cause that holds many names up, such as a DNS server that is
//! down, is one line with their number.

use std::fmt::Display;
use std::io;

use tracing::warn;

use crate::log_groups::{LogGroup, LogGroups, QUIET};
use crate::printable::quoted;

/// Effect of a failed query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::upstream) enum NameFailure {
    /// There are no addresses.
    NotResolved,
    /// The last addresses stay in use.
    LastAddresses,
}

/// Collects the failures of names by their cause.
#[derive(Debug, Default)]
pub(in crate::upstream) struct NameFailures(LogGroups<Cause, String>);

type Cause = (NameFailure, io::ErrorKind);

impl NameFailures {
    /// Records that a name did not resolve. Whoever calls this calls [`write_due`](Self::write_due) after a while.
    pub(in crate::upstream) fn note(
        &self,
        failure: NameFailure,
        name: impl Display,
        error: &io::Error,
    ) {
        let cause = (failure, error.kind());
        let given_back = self
            .0
            .add(cause, name.to_string(), quoted(&error.to_string()));
        given_back.iter().for_each(write);
    }

    /// Waits until the lines about what has just happened are due, and writes them.
    pub(in crate::upstream) async fn write_due(&self) {
        tokio::time::sleep(QUIET).await;
        self.0.take_due().iter().for_each(write);
    }

    /// Writes all lines, since the process stops.
    pub(in crate::upstream) fn write_all(&self) {
        self.0.take_all().iter().for_each(write);
    }
}

fn write(((failure, _), group): &(Cause, LogGroup<String>)) {
    let (number, names, error) = (group.number(), group.names(), group.first());
    match failure {
        NameFailure::NotResolved => {
            warn!(number, %names, %error, "backend name does not resolve");
        }
        NameFailure::LastAddresses => {
            warn!(number, %names, %error, "backend name did not resolve; its last addresses stay in use");
        }
    }
}
