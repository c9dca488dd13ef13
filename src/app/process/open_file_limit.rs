//! The limit of open files: raises it to its hard maximum, and derives the number of connections from it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// File descriptors that are reserved for storage, the CA and port 80.
const RESERVE: u64 = 64;
/// File descriptors per worker: its listener, its runtime, and a client that waits for a permit.
const PER_WORKER: u64 = 8;
/// File descriptors per connection: one for the client and one for the backend.
const PER_CONNECTION: u64 = 2;
/// Most connections, however many file descriptors there are: memory is the limit then.
const MOST_CONNECTIONS: u64 = 500_000;

/// Raises the limit, and returns the number of client connections that fit under it.
pub(in crate::app) fn raise(workers: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: maximum,
                maximum,
            },
        )
    {
        warn!(%error, "the limit of open files could not be raised");
    }
    connections(getrlimit(Resource::Nofile).current, workers)
}

/// Returns the number of client connections that fit under the highest limit that the process can set.
pub(in crate::app) fn connections_at_most(workers: usize) -> usize {
    connections(getrlimit(Resource::Nofile).maximum, workers)
}

fn connections(descriptors: Option<u64>, workers: usize) -> usize {
    let reserve = RESERVE + PER_WORKER * workers as u64;
    let connections = descriptors.map_or(MOST_CONNECTIONS, |descriptors| {
        (descriptors.saturating_sub(reserve) / PER_CONNECTION).clamp(1, MOST_CONNECTIONS)
    });
    usize::try_from(connections).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_a_reserve_of_descriptors() {
        assert_eq!(connections(Some(1024), 2), 472);
        assert_eq!(connections(Some(10), 2), 1);
        assert_eq!(connections(Some(u64::MAX), 2), 500_000);
        assert_eq!(connections(None, 2), 500_000);
    }
}
