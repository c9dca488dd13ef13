//! The resolver. It neither reads the hosts file nor caches answers, so that it sees DNS as the CA does.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::answer::{CaaSet, Zone, ZoneServer, caa, txt};
use super::error::ResolverError;
use super::options::ResolverOptions;
use super::question::{Question, plain, plain_text, present};
use crate::dns_client::{ClientOptions, NameServer};

/// Time limit for one answer of one server. Each server is asked twice.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Longest chain of CNAME records that is followed.
const MAX_ALIASES: usize = 8;

/// Asks DNS. Names may have a final dot; without it, no search list is applied either.
#[derive(Debug)]
pub struct Resolver {
    options: ResolverOptions,
    client: OnceLock<TokioResolver>,
}

impl Resolver {
    /// Creates a resolver. It reads the DNS settings of the system at the first look-up, if it needs them.
    #[must_use]
    pub fn new(options: ResolverOptions) -> Self {
        Self {
            options,
            client: OnceLock::new(),
        }
    }

    /// Returns the addresses of a host, IPv4 before IPv6. A failure of one look-up counts only if the other finds nothing.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolverError> {
        let question = Question::new(name)?;
        let client = self.client(&question)?;
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

    /// Returns the IPv4 addresses of a host.
    pub async fn ipv4(&self, name: &str) -> Result<Vec<IpAddr>, ResolverError> {
        self.of_kind(name, RecordType::A).await
    }

    /// Returns the IPv6 addresses of a host.
    pub async fn ipv6(&self, name: &str) -> Result<Vec<IpAddr>, ResolverError> {
        self.of_kind(name, RecordType::AAAA).await
    }

    async fn of_kind(&self, name: &str, kind: RecordType) -> Result<Vec<IpAddr>, ResolverError> {
        let question = Question::new(name)?;
        let records = question.ask(self.client(&question)?, kind).await?;
        Ok(records.iter().filter_map(RData::ip_addr).collect())
    }

    /// Returns the CAA records that apply to a name: its own, otherwise those of the closest parent with such records (RFC
    /// 8659 section 3).
    pub async fn caa(&self, name: &str) -> Result<Option<CaaSet>, ResolverError> {
        for question in Question::new(name)?.with_parents() {
            let asked = question.ask(self.client(&question)?, RecordType::CAA).await;
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

    /// Returns the zone that contains a name, with its name servers. Searches upward from the name itself.
    pub async fn zone(&self, name: &str) -> Result<Zone, ResolverError> {
        for question in Question::new(name)?.with_parents() {
            let asked = question.ask(self.client(&question)?, RecordType::NS).await;
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

    /// Follows the CNAME records of a name and returns the last name, which need not exist. Without such records this is
    /// the name itself.
    pub async fn canonical(&self, name: &str) -> Result<String, ResolverError> {
        let mut question = Question::new(name)?;
        for _ in 0..MAX_ALIASES {
            let asked = question
                .ask(self.client(&question)?, RecordType::CNAME)
                .await;
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

    /// Returns the TXT records of a name; empty if there are none.
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, ResolverError> {
        let question = Question::new(name)?;
        texts(&question, self.client(&question)?).await
    }

    /// Returns the TXT records of a name on one server; empty if there are none. Without `recursion`, the server answers only
    /// from its own zones.
    pub async fn txt_at(
        &self,
        server: SocketAddr,
        name: &str,
        recursion: bool,
    ) -> Result<Vec<String>, ResolverError> {
        let question = Question::new(name)?;
        let options = ClientOptions {
            is_recursive: recursion,
            ..client_options(vec![NameServer::At(server)])
        };
        let client = options.build().map_err(|error| question.no_client(error))?;
        texts(&question, &client).await
    }

    fn client(&self, question: &Question) -> Result<&TokioResolver, ResolverError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let options = client_options(self.options.servers.clone());
        let client = options.build().map_err(|error| question.no_client(error))?;
        Ok(self.client.get_or_init(|| client))
    }
}

async fn texts(question: &Question, client: &TokioResolver) -> Result<Vec<String>, ResolverError> {
    let records = present(question.ask(client, RecordType::TXT).await)?;
    let records = records.unwrap_or_default();
    Ok(records.iter().filter_map(txt).collect())
}

/// Returns client settings that ignore the hosts file of this machine.
fn client_options(servers: Vec<NameServer>) -> ClientOptions {
    ClientOptions {
        servers,
        timeout: TIMEOUT,
        is_recursive: true,
        uses_search_domains: false,
    }
}
