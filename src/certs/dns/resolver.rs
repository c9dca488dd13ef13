//! DNS as the outside world sees it: never the hosts file, and never an answer that was kept from earlier.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::answer::{CaaSet, Zone, ZoneServer, caa, txt};
use super::error::ResolverError;
use super::options::{NameServer, ResolverOptions};
use super::question::{Question, plain, plain_text, present};

/// How long one server is given for one answer; it is asked twice.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How many aliases in a row are followed.
const MAX_ALIASES: usize = 8;

/// Asks DNS. All names are plain text, with or without the last dot, and are never completed by a search list.
#[derive(Debug)]
pub struct Resolver {
    options: ResolverOptions,
    client: OnceLock<TokioResolver>,
}

impl Resolver {
    /// A resolver that reads the system's settings, where it needs them, at its first look-up.
    #[must_use]
    pub fn new(options: ResolverOptions) -> Self {
        Self {
            options,
            client: OnceLock::new(),
        }
    }

    /// The addresses of a host, A before AAAA. A failure of one kind counts only if the other has nothing.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolverError> {
        let question = Question::new(name)?;
        let client = self.client(name)?;
        let (four, six) = tokio::join!(
            question.ask(client, RecordType::A),
            question.ask(client, RecordType::AAAA)
        );
        let records = match (four, six) {
            (Ok(mut four), Ok(six)) => {
                four.extend(six);
                four
            }
            (Ok(records), Err(_)) | (Err(_), Ok(records)) => records,
            (Err(four), Err(six)) if four.is_absence() && !six.is_absence() => return Err(six),
            (Err(ResolverError::NoAnswer { name, .. }), Err(_)) => {
                let kind = "A or AAAA";
                return Err(ResolverError::NoAnswer { name, kind });
            }
            (Err(four), Err(_)) => return Err(four),
        };
        Ok(records.iter().filter_map(|data| data.ip_addr()).collect())
    }

    /// The IPv4 addresses of a host.
    pub async fn ipv4(&self, name: &str) -> Result<Vec<IpAddr>, ResolverError> {
        self.of_kind(name, RecordType::A).await
    }

    /// The IPv6 addresses of a host.
    pub async fn ipv6(&self, name: &str) -> Result<Vec<IpAddr>, ResolverError> {
        self.of_kind(name, RecordType::AAAA).await
    }

    async fn of_kind(&self, name: &str, kind: RecordType) -> Result<Vec<IpAddr>, ResolverError> {
        let records = Question::new(name)?.ask(self.client(name)?, kind).await?;
        Ok(records.iter().filter_map(RData::ip_addr).collect())
    }

    /// The CAA records that govern a name: its own, else those of the closest parent that has any (RFC 8659 section 3).
    pub async fn caa(&self, name: &str) -> Result<Option<CaaSet>, ResolverError> {
        for question in Question::new(name)?.with_parents() {
            let asked = question.ask(self.client(name)?, RecordType::CAA).await;
            let Some(records) = present(asked)? else {
                continue;
            };
            let records: Vec<_> = records.iter().filter_map(caa).collect();
            if !records.is_empty() {
                let name = question.text;
                return Ok(Some(CaaSet { name, records }));
            }
        }
        Ok(None)
    }

    /// The zone that a name belongs to, with its name servers: found by going up from the name itself.
    pub async fn zone(&self, name: &str) -> Result<Zone, ResolverError> {
        for question in Question::new(name)?.with_parents() {
            let asked = question.ask(self.client(name)?, RecordType::NS).await;
            let Some(records) = present(asked)? else {
                continue;
            };
            let hosts: Vec<_> = records
                .iter()
                .filter_map(|data| match data {
                    RData::NS(host) => Some(plain(&host.0)),
                    _ => None,
                })
                .collect();
            if hosts.is_empty() {
                continue;
            }
            let mut servers = Vec::with_capacity(hosts.len());
            for host in hosts {
                servers.push(self.zone_server(host).await);
            }
            let name = question.text;
            return Ok(Zone { name, servers });
        }
        Err(ResolverError::NoSuchName(plain_text(name).to_owned()))
    }

    async fn zone_server(&self, name: String) -> ZoneServer {
        let addresses = self.addresses(&name).await.unwrap_or_default();
        let port = self.options.authority_port;
        let addresses = addresses.into_iter().map(|ip| (ip, port).into()).collect();
        ZoneServer { name, addresses }
    }

    /// Where the aliases (CNAME) of a name lead, which is the name itself where it has none. The name at the end need not
    /// exist.
    pub async fn canonical(&self, name: &str) -> Result<String, ResolverError> {
        let mut question = Question::new(name)?;
        for _ in 0..MAX_ALIASES {
            let asked = question.ask(self.client(name)?, RecordType::CNAME).await;
            let records = present(asked)?.unwrap_or_default();
            let target = records.into_iter().find_map(|data| match data {
                RData::CNAME(target) => Some(target.0),
                _ => None,
            });
            match target {
                Some(target) => question = Question::of(target),
                None => return Ok(question.text),
            }
        }
        Err(ResolverError::AliasLoop(plain_text(name).to_owned()))
    }

    /// The TXT records that one server has at a name, empty where it has none. The server is asked as an authority: it is
    /// not to look elsewhere.
    pub async fn txt_at(
        &self,
        server: SocketAddr,
        name: &str,
    ) -> Result<Vec<String>, ResolverError> {
        let question = Question::new(name)?;
        let servers = vec![server_config(server)];
        let mut options = lookup_options();
        options.recursion_desired = false;
        let client = build(servers, options).map_err(|error| question.failed(error))?;
        let records = present(question.ask(&client, RecordType::TXT).await)?;
        let records = records.unwrap_or_default();
        Ok(records.iter().filter_map(txt).collect())
    }

    fn client(&self, name: &str) -> Result<&TokioResolver, ResolverError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let mut servers = Vec::new();
        for server in &self.options.servers {
            match server {
                NameServer::At(address) => servers.push(server_config(*address)),
                NameServer::System => servers.extend(system_servers()?),
            }
        }
        let client = build(servers, lookup_options()).map_err(|source| ResolverError::Failed {
            name: plain_text(name).to_owned(),
            source,
        })?;
        Ok(self.client.get_or_init(|| client))
    }
}

fn system_servers() -> Result<Vec<NameServerConfig>, ResolverError> {
    let (config, _) =
        hickory_resolver::system_conf::read_system_conf().map_err(ResolverError::System)?;
    Ok(config.name_servers().to_vec())
}

fn build(servers: Vec<NameServerConfig>, options: ResolverOpts) -> Result<TokioResolver, NetError> {
    let config = ResolverConfig::from_name_servers(servers);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
}

fn server_config(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}

fn lookup_options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = TIMEOUT;
    options.attempts = 1;
    options.edns0 = true;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options
}
