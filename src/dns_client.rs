//! DNS clients: their servers, their time-outs, and whether they use search domains. Knows no room.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::read_system_conf;

/// A DNS server to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameServer {
    /// The servers in the system's settings.
    System,
    /// A server at this address.
    At(SocketAddr),
}

/// Settings of a DNS client. No client caches answers: their TTLs are the caller's business.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The servers to ask, in this order. Without any, every query fails.
    pub servers: Vec<NameServer>,
    /// The time that one server has for one answer. Each server is asked twice at most.
    pub timeout: Duration,
    /// Whether the server may ask other servers. If not, it answers only for zones of its own.
    pub is_recursive: bool,
    /// Whether the system's search domains are used, if [`NameServer::System`] is among the servers. No client reads the
    /// hosts file.
    pub uses_search_domains: bool,
}

/// Errors of building a DNS client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The system's settings are unreadable.
    #[error("the DNS settings of the system cannot be read")]
    SystemSettings(#[source] NetError),
    /// The client cannot be built from these settings.
    #[error("the DNS client cannot be set up")]
    Setup(#[source] NetError),
}

impl ClientOptions {
    /// Builds a client. Reads the system's settings where [`NameServer::System`] is among the servers.
    pub fn build(&self) -> Result<TokioResolver, ClientError> {
        let mut options = ResolverOpts::default();
        options.timeout = self.timeout;
        options.attempts = 1;
        options.edns0 = true;
        options.cache_size = 0;
        options.recursion_desired = self.is_recursive;
        options.use_hosts_file = ResolveHosts::Never;
        let config = self.config(&mut options)?;
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(ClientError::Setup)
    }

    fn config(&self, options: &mut ResolverOpts) -> Result<ResolverConfig, ClientError> {
        let (mut domain, mut search, mut servers) = (None, Vec::new(), Vec::new());
        for server in &self.servers {
            match server {
                NameServer::At(address) => servers.push(server_config(*address)),
                NameServer::System => {
                    let (system, settings) =
                        read_system_conf().map_err(ClientError::SystemSettings)?;
                    servers.extend(system.name_servers().iter().cloned());
                    if self.uses_search_domains {
                        options.ndots = settings.ndots;
                        domain = system.domain().cloned();
                        search = system.search().to_vec();
                    }
                }
            }
        }
        Ok(ResolverConfig::from_parts(domain, search, servers))
    }
}

fn server_config(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}
