//! File descriptors: the limit is raised to its hard maximum, and bounds the connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors for storage, the CA and port 80.
const RESERVE: u64 = 64;
/// A worker's listener, its runtime's own, and a client that waits for a place.
const PER_WORKER: u64 = 8;
/// One for the client, one for the backend.
const PER_CONNECTION: u64 = 2;
/// Beyond it memory is the limit, whatever the descriptors allow.
const MOST_CONNECTIONS: u64 = 500_000;

/// Raises the limit and returns how many client connections fit under it.
pub(super) fn raise(workers: usize) -> usize {
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

fn connections(descriptors: Option<u64>, workers: usize) -> usize {
    let reserve = RESERVE + PER_WORKER * workers as u64;
    let fitting = descriptors.map_or(MOST_CONNECTIONS, |descriptors| {
        (descriptors.saturating_sub(reserve) / PER_CONNECTION).clamp(1, MOST_CONNECTIONS)
    });
    usize::try_from(fitting).unwrap_or(usize::MAX)
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
