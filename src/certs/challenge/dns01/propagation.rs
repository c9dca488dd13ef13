//! Waits until every name server that the CA might ask shows a record.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::error::Dns01Error;
use super::options::DnsOptions;
use super::provider::TxtRecord;
use crate::backoff::Polling;
use crate::certs::dns::{Resolver, ResolverError, ZoneServer};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Number of rounds after which unreachable servers are ignored, if another server shows the record.
const UNREACHABLE_ROUNDS: usize = 3;

/// Asks name servers for records.
#[derive(Debug)]
pub struct Propagation {
    resolver: Arc<Resolver>,
    servers: Vec<SocketAddr>,
    timeout: Duration,
}

/// Result of asking one server.
enum Observation {
    Shown,
    Missing,
    Unreachable(ResolverError),
}

impl Propagation {
    /// Creates a check at the name servers of `options`; if these are empty, at those of the zone of each record.
    #[must_use]
    pub fn new(resolver: Arc<Resolver>, options: &DnsOptions) -> Self {
        Self {
            resolver,
            servers: options.name_servers.clone(),
            timeout: options.propagation_timeout,
        }
    }

    /// Returns the name at which the record has to be set: the end of the CNAME chain of `name`.
    pub(super) async fn owner(&self, name: &str) -> Result<String, Dns01Error> {
        let canonical = self.resolver.canonical(name).await;
        canonical.map_err(|cause| Dns01Error::Alias {
            name: name.to_owned(),
            cause: Box::new(cause),
        })
    }

    /// Waits until every server shows the record. A server that is unreachable in several rounds is ignored if another
    /// one shows the record.
    pub(super) async fn wait(&self, record: &TxtRecord) -> Result<(), Dns01Error> {
        let deadline = Instant::now() + self.timeout;
        let mut polling = Polling::new(FIRST_PAUSE, LONGEST_PAUSE);
        let servers = self.servers(&record.name).await?;
        for round in 1.. {
            let observed = join_all(servers.iter().map(|server| self.ask(server, record))).await;
            let may_ignore = round >= UNREACHABLE_ROUNDS;
            let Some(pending) = pending(&servers, observed, may_ignore, record) else {
                return Ok(());
            };
            let next = Instant::now() + polling.next(None);
            if next > deadline {
                return Err(pending.into_error(record, self.timeout));
            }
            sleep_until(next).await;
        }
        Ok(())
    }

    async fn servers(&self, name: &str) -> Result<Vec<ZoneServer>, Dns01Error> {
        if !self.servers.is_empty() {
            let named = self.servers.iter().map(|&address| ZoneServer {
                name: address.to_string(),
                addresses: vec![address],
            });
            return Ok(named.collect());
        }
        let zone = self.resolver.zone(name).await;
        let zone = zone.map_err(|cause| Dns01Error::Servers {
            name: name.to_owned(),
            cause: Box::new(cause),
        })?;
        Ok(zone.servers)
    }

    /// Asks the addresses of a server in turn until one answers.
    async fn ask(&self, server: &ZoneServer, record: &TxtRecord) -> Observation {
        let mut failure = ResolverError::NoAnswer {
            name: server.name.clone(),
            kind: "A or AAAA",
        };
        for address in &server.addresses {
            match self.resolver.txt_at(*address, &record.name).await {
                Ok(values) if values.contains(&record.value) => return Observation::Shown,
                Ok(_) => return Observation::Missing,
                Err(error) => failure = error,
            }
        }
        Observation::Unreachable(failure)
    }
}

/// A server that has not shown the record yet.
struct PendingServer {
    server: String,
    cause: Option<ResolverError>,
}

impl PendingServer {
    fn into_error(self, record: &TxtRecord, limit: Duration) -> Dns01Error {
        let (server, name) = (self.server, record.name.clone());
        match self.cause {
            Some(cause) => Dns01Error::Silent {
                name,
                server,
                cause: Box::new(cause),
            },
            None => Dns01Error::Missing {
                server,
                name,
                limit,
            },
        }
    }
}

/// Returns a server to wait for; `None` once the record counts as visible everywhere.
fn pending(
    servers: &[ZoneServer],
    observed: Vec<Observation>,
    may_ignore_unreachable: bool,
    record: &TxtRecord,
) -> Option<PendingServer> {
    let is_shown = observed.iter().any(|it| matches!(it, Observation::Shown));
    let mut unreachable = None;
    for (server, observation) in servers.iter().zip(observed) {
        let server = server.name.clone();
        match observation {
            Observation::Shown => {}
            Observation::Missing => {
                let cause = None;
                return Some(PendingServer { server, cause });
            }
            Observation::Unreachable(cause) => {
                debug!(%server, name = %record.name, error = %cause, "name server unreachable");
                let cause = Some(cause);
                unreachable = Some(PendingServer { server, cause });
            }
        }
    }
    unreachable.filter(|_| !(is_shown && may_ignore_unreachable))
}
