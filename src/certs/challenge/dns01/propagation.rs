//! Whether a record can be seen at every server that the CA might ask.

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

const FIRST_LOOK: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How often a server that cannot be asked is tried before those that can be are enough.
const UNREACHABLE_TRIES: usize = 3;

/// Looks for records at name servers.
#[derive(Debug)]
pub struct Propagation {
    resolver: Arc<Resolver>,
    servers: Vec<SocketAddr>,
    timeout: Duration,
}

/// What one server says.
enum Sight {
    Shown,
    Missing,
    Unreachable(ResolverError),
}

impl Propagation {
    /// A look-out at the servers that `options` name, else at those of the record's own zone.
    #[must_use]
    pub fn new(resolver: Arc<Resolver>, options: &DnsOptions) -> Self {
        Self {
            resolver,
            servers: options.name_servers.clone(),
            timeout: options.propagation_timeout,
        }
    }

    /// Where the record of a name is to be set: the end of its aliases (CNAME).
    pub(super) async fn owner(&self, name: &str) -> Result<String, Dns01Error> {
        let canonical = self.resolver.canonical(name).await;
        canonical.map_err(|cause| Dns01Error::Alias {
            name: name.to_owned(),
            cause: Box::new(cause),
        })
    }

    /// Waits until every server shows the record. Servers that cannot be asked again and again do not count, where another
    /// one can.
    pub(super) async fn wait(&self, record: &TxtRecord) -> Result<(), Dns01Error> {
        let deadline = Instant::now() + self.timeout;
        let mut polling = Polling::new(FIRST_LOOK, LONGEST_WAIT);
        let servers = self.servers(&record.name).await?;
        for round in 1.. {
            let sights = join_all(servers.iter().map(|server| self.look(server, record))).await;
            let doubt = doubt(&servers, sights, round >= UNREACHABLE_TRIES, record);
            let Some(doubt) = doubt else { return Ok(()) };
            let next = Instant::now() + polling.next(None);
            if next > deadline {
                return Err(doubt.into_error(record, self.timeout));
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

    /// Asks the addresses of a server one after the other until one answers.
    async fn look(&self, server: &ZoneServer, record: &TxtRecord) -> Sight {
        let mut failure = ResolverError::NoAnswer {
            name: server.name.clone(),
            kind: "A or AAAA",
        };
        for address in &server.addresses {
            match self.resolver.txt_at(*address, &record.name).await {
                Ok(values) if values.contains(&record.value) => return Sight::Shown,
                Ok(_) => return Sight::Missing,
                Err(error) => failure = error,
            }
        }
        Sight::Unreachable(failure)
    }
}

/// The server that the record is still waited for at.
struct Doubt {
    server: String,
    cause: Option<ResolverError>,
}

impl Doubt {
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

/// What keeps the record from being seen everywhere.
fn doubt(
    servers: &[ZoneServer],
    sights: Vec<Sight>,
    may_skip: bool,
    record: &TxtRecord,
) -> Option<Doubt> {
    let is_shown = sights.iter().any(|sight| matches!(sight, Sight::Shown));
    let mut unreachable = None;
    for (server, sight) in servers.iter().zip(sights) {
        let server = server.name.clone();
        match sight {
            Sight::Shown => {}
            Sight::Missing => {
                let cause = None;
                return Some(Doubt { server, cause });
            }
            Sight::Unreachable(cause) => {
                debug!(%server, name = %record.name, error = %cause, "name server cannot be asked");
                let cause = Some(cause);
                unreachable = Some(Doubt { server, cause });
            }
        }
    }
    unreachable.filter(|_| !(is_shown && may_skip))
}
