//! DNS as the outside world sees it: never the hosts file, and never an answer that was kept from earlier.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// How long one server is given for one answer; it is asked twice.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How many aliases in a row are followed.
const MAX_ALIASES: usize = 8;

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameServer {
    /// Those that the system is set up with.
    System,
    /// A server that resolves any name.
    At(SocketAddr),
}

/// What the resolver is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverOptions {
    /// Whom to ask; an empty list asks nobody, and every look-up fails.
    pub servers: Vec<NameServer>,
    /// Where the name servers of zones answer, which is 53 on the Internet.
    pub authority_port: u16,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        Self {
            servers: vec![NameServer::System],
            authority_port: 53,
        }
    }
}

/// Why a look-up gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ResolverError {
    /// The system names no DNS server.
    #[error("the system's DNS servers cannot be read ({0}); name some with `resolvers`")]
    System(#[source] NetError),
    /// The text is no name that DNS can be asked for.
    #[error("`{0}` is no DNS name")]
    Name(String),
    /// The name does not exist.
    #[error("DNS has no name `{0}`")]
    NoSuchName(String),
    /// The name exists and has no such record.
    #[error("DNS has no {kind} record for `{name}`")]
    NoAnswer {
        /// What was looked up.
        name: String,
        /// The records that are not there.
        kind: &'static str,
    },
    /// The server answered that it cannot or will not say.
    #[error("the DNS server has no answer for `{name}`: {code}")]
    Refused {
        /// What was looked up.
        name: String,
        /// What the server said.
        code: ResponseCode,
    },
    /// No server answered in time.
    #[error("no DNS server answered for `{0}` in time")]
    Timeout(String),
    /// The servers could not be reached, or answered with garbage.
    #[error("DNS cannot be asked for `{name}`: {source}")]
    Failed {
        /// What was looked up.
        name: String,
        /// What went wrong.
        source: NetError,
    },
    /// Aliases lead in a circle, or too far.
    #[error("the CNAME records of `{0}` lead nowhere")]
    AliasLoop(String),
}

impl ResolverError {
    /// Whether DNS itself says that there is nothing, which is an answer.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoSuchName(_) | Self::NoAnswer { .. })
    }
}

/// Who may issue for a name (RFC 8659).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaSet {
    /// The name that the records are at: the asked one or a parent.
    pub name: String,
    /// At least one.
    pub records: Vec<Caa>,
}

/// One property of a CAA record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caa {
    /// Whether a CA that does not know the tag must refuse.
    pub is_critical: bool,
    /// `issue`, `issuewild`, `iodef` or another one, in lower case.
    pub tag: String,
    /// As it is in the record, such as `letsencrypt.org; validationmethods=dns-01`.
    pub value: String,
}

impl Caa {
    /// The CA that an `issue` or `issuewild` property names; empty where it forbids every CA.
    #[must_use]
    pub fn issuer_domain(&self) -> &str {
        let domain = self.value.split(';').next().unwrap_or_default();
        domain.trim()
    }
}

/// A zone with the servers that are its authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The zone's own name, without the last dot.
    pub name: String,
    /// Its servers; one whose name has no address has none here.
    pub servers: Vec<ZoneServer>,
}

/// One of the name servers of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneServer {
    /// Its host name.
    pub name: String,
    /// Where it answers.
    pub addresses: Vec<SocketAddr>,
}

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

/// A name that is asked for.
struct Question {
    name: Name,
    text: String,
}

impl Question {
    fn new(text: &str) -> Result<Self, ResolverError> {
        match Name::from_ascii(text) {
            Ok(name) if !name.is_root() && !text.is_empty() => Ok(Self::of(name)),
            _ => Err(ResolverError::Name(text.to_owned())),
        }
    }

    fn of(mut name: Name) -> Self {
        name.set_fqdn(true);
        let text = plain(&name);
        Self { name, text }
    }

    /// The name, then its parents up to the top-level domain.
    fn with_parents(self) -> impl Iterator<Item = Self> {
        let parent = |question: &Self| {
            let base = question.name.base_name();
            (!base.is_root()).then(|| Self::of(base))
        };
        std::iter::successors(Some(self), parent)
    }

    async fn ask(
        &self,
        client: &TokioResolver,
        kind: RecordType,
    ) -> Result<Vec<RData>, ResolverError> {
        let answer = client.lookup(self.name.clone(), kind).await;
        let answer = answer.map_err(|error| self.error(kind.into(), error))?;
        let of_kind = |record: &&Record| record.record_type() == kind;
        let records = answer.answers().iter().filter(of_kind);
        let records: Vec<_> = records.map(|record| record.data.clone()).collect();
        match records.is_empty() {
            true => Err(self.no_answer(kind.into())),
            false => Ok(records),
        }
    }

    fn no_answer(&self, kind: &'static str) -> ResolverError {
        ResolverError::NoAnswer {
            name: self.text.clone(),
            kind,
        }
    }

    fn failed(&self, source: NetError) -> ResolverError {
        ResolverError::Failed {
            name: self.text.clone(),
            source,
        }
    }

    fn error(&self, kind: &'static str, error: NetError) -> ResolverError {
        match error {
            _ if error.is_nx_domain() => ResolverError::NoSuchName(self.text.clone()),
            _ if error.is_no_records_found() => self.no_answer(kind),
            NetError::Dns(DnsError::ResponseCode(code)) => ResolverError::Refused {
                name: self.text.clone(),
                code,
            },
            NetError::Timeout => ResolverError::Timeout(self.text.clone()),
            source => self.failed(source),
        }
    }
}

/// What there is, where that there is nothing is no failure.
fn present(asked: Result<Vec<RData>, ResolverError>) -> Result<Option<Vec<RData>>, ResolverError> {
    match asked {
        Ok(records) => Ok(Some(records)),
        Err(error) if error.is_absence() => Ok(None),
        Err(error) => Err(error),
    }
}

fn caa(data: &RData) -> Option<Caa> {
    let RData::CAA(record) = data else {
        return None;
    };
    Some(Caa {
        is_critical: record.issuer_critical,
        tag: record.tag.to_ascii_lowercase(),
        value: String::from_utf8_lossy(&record.value).into_owned(),
    })
}

/// The strings of a TXT record are one text (RFC 8555 section 8.4 has no say in how it is cut).
fn txt(data: &RData) -> Option<String> {
    let RData::TXT(record) = data else {
        return None;
    };
    let bytes = record.txt_data.concat();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The name in lower case, without the last dot.
fn plain(name: &Name) -> String {
    plain_text(&name.to_lowercase().to_ascii()).to_owned()
}

fn plain_text(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_asked_up_to_the_top_level_domain() {
        let question = Question::new("_acme-challenge.Home.example.ORG").unwrap();
        let asked: Vec<_> = question.with_parents().map(|name| name.text).collect();
        assert_eq!(
            asked,
            [
                "_acme-challenge.home.example.org",
                "home.example.org",
                "example.org",
                "org"
            ]
        );
        for text in ["", ".", "a..b", &"a".repeat(64)] {
            assert!(Question::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_caa_property_names_its_ca_before_the_parameters() {
        for (value, domain) in [
            ("letsencrypt.org", "letsencrypt.org"),
            (" ca.example ; account=1", "ca.example"),
            (";", ""),
            ("", ""),
        ] {
            let caa = Caa {
                is_critical: false,
                tag: "issue".to_owned(),
                value: value.to_owned(),
            };
            assert_eq!(caa.issuer_domain(), domain, "{value:?}");
        }
    }
}
