//! Waits until every name server that the CA might ask shows a record, as far as these can be asked.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use super::error::Dns01Error;
use super::options::PropagationOptions;
use super::provider::TxtRecord;
use crate::backoff::Polling;
use crate::certs::dns::{Resolver, ResolverError, ZoneServer};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Number of rounds after which unreachable servers are ignored, if another server shows the record, and after which the
/// configured resolvers are asked, if no server can be reached.
const UNREACHABLE_ROUNDS: usize = 3;

/// The name that messages use for the configured resolvers.
const RESOLVERS: &str = "of `resolvers`";

/// Asks name servers for records.
#[derive(Debug)]
pub struct Propagation {
    resolver: Arc<Resolver>,
    options: PropagationOptions,
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
    pub fn new(resolver: Arc<Resolver>, options: &PropagationOptions) -> Self {
        Self {
            resolver,
            options: options.clone(),
        }
    }

    /// Returns the name at which the record has to be set: the end of the CNAME chain of `name`. With a delay instead of any
    /// check, a machine that cannot ask DNS takes the name itself.
    pub(super) async fn owner(&self, name: &str) -> Result<String, Dns01Error> {
        let error = match self.resolver.canonical(name).await {
            Ok(canonical) => return Ok(canonical),
            Err(cause) => Dns01Error::Alias {
                name: name.to_owned(),
                cause: Box::new(cause),
            },
        };
        if self.options.delay.is_none() {
            return Err(error);
        }
        warn!(%name, %error, "CNAME records cannot be looked up; the TXT record is set at the name itself");
        Ok(name.to_owned())
    }

    /// Checks before an order what the wait for the record at `name` cannot do without: a name server of the configuration
    /// that answers. If none answers, this is an error only if it is strict. The resolvers have answered already.
    pub(super) async fn check(&self, name: &str) -> Result<(), Dns01Error> {
        let is_needed = self.options.is_strict && self.options.delay.is_none();
        if !is_needed || self.options.name_servers.is_empty() {
            return Ok(());
        }
        let record = TxtRecord {
            name: name.to_owned(),
            value: String::new(),
        };
        let servers = self.servers(name).await?;
        let observed = join_all(servers.iter().map(|server| self.ask(server, &record))).await;
        if !observed.iter().all(Observation::is_unreachable) {
            return Ok(());
        }
        let silent = pending(&servers, observed, false, &record);
        silent.map_or(Ok(()), |it| {
            Err(it.into_error(&record, self.options.timeout))
        })
    }

    /// Waits until the record can be expected to be visible to the CA. If it cannot be seen in time, the CA may see it all
    /// the same: a firewall may stand between this machine and the name servers. So this is an error only if it is strict.
    pub(super) async fn wait(&self, record: &TxtRecord) -> Result<(), Dns01Error> {
        if let Some(delay) = self.options.delay {
            sleep(delay).await;
            return Ok(());
        }
        match self.poll(record).await {
            Err(error) if !self.options.is_strict => {
                warn!(name = %record.name, %error, "TXT record is not seen; the CA is asked all the same");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Waits until every server shows the record. A server that is unreachable in several rounds is ignored if another
    /// one shows the record. If none can be found or reached, a resolver that shows it is enough.
    async fn poll(&self, record: &TxtRecord) -> Result<(), Dns01Error> {
        let deadline = Instant::now() + self.options.timeout;
        let mut polling = Polling::new(FIRST_PAUSE, LONGEST_PAUSE);
        let (servers, not_found) = match self.servers(&record.name).await {
            Ok(servers) => (servers, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        for round in 1.. {
            let observed = join_all(servers.iter().map(|server| self.ask(server, record))).await;
            let is_late = round >= UNREACHABLE_ROUNDS;
            let are_silent = observed.iter().all(Observation::is_unreachable);
            let asks_resolvers = self.options.name_servers.is_empty()
                && are_silent
                && (is_late || servers.is_empty());
            let mut pending = pending(&servers, observed, is_late, record);
            if asks_resolvers {
                match self.ask_resolvers(record).await {
                    Observation::Shown => return Ok(()),
                    Observation::Missing => pending = Some(PendingServer::resolvers()),
                    Observation::Unreachable(error) => {
                        debug!(name = %record.name, %error, "resolvers unreachable");
                    }
                }
            }
            if pending.is_none() && !servers.is_empty() {
                return Ok(());
            }
            let next = Instant::now() + polling.next(None);
            if next > deadline {
                let seen = pending.map(|it| it.into_error(record, self.options.timeout));
                return Err(not_found.or(seen).unwrap_or(Dns01Error::Stopping));
            }
            sleep_until(next).await;
        }
        Ok(())
    }

    async fn servers(&self, name: &str) -> Result<Vec<ZoneServer>, Dns01Error> {
        if !self.options.name_servers.is_empty() {
            let named = self.options.name_servers.iter();
            let named = named.map(|&address| ZoneServer {
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

    async fn ask_resolvers(&self, record: &TxtRecord) -> Observation {
        Observation::of(self.resolver.txt(&record.name).await, record)
    }

    /// Asks the addresses of a server in turn until one answers.
    async fn ask(&self, server: &ZoneServer, record: &TxtRecord) -> Observation {
        let mut failure = ResolverError::NoAnswer {
            name: server.name.clone(),
            kind: "A or AAAA",
        };
        // A server of the configuration may be a resolver. An authority ignores that recursion is desired.
        let recursion = !self.options.name_servers.is_empty();
        for address in &server.addresses {
            let answer = self.resolver.txt_at(*address, &record.name, recursion);
            match Observation::of(answer.await, record) {
                Observation::Unreachable(error) => failure = error,
                observation => return observation,
            }
        }
        Observation::Unreachable(failure)
    }
}

impl Observation {
    fn of(answer: Result<Vec<String>, ResolverError>, record: &TxtRecord) -> Self {
        match answer {
            Ok(values) if values.contains(&record.value) => Self::Shown,
            Ok(_) => Self::Missing,
            Err(error) => Self::Unreachable(error),
        }
    }

    fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// A server that has not shown the record yet.
struct PendingServer {
    server: String,
    cause: Option<ResolverError>,
}

impl PendingServer {
    fn resolvers() -> Self {
        Self {
            server: RESOLVERS.to_owned(),
            cause: None,
        }
    }

    fn into_error(self, record: &TxtRecord, limit: Duration) -> Dns01Error {
        let server = self.server;
        match self.cause {
            Some(cause) => Dns01Error::Silent {
                name: record.name.clone(),
                server,
                cause: Box::new(cause),
            },
            None => Dns01Error::Missing { server, limit },
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
