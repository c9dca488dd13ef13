//! DNS provider: dynamic updates (RFC 2136) over TCP, signed with TSIG (RFC 8945).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hickory_proto::op::{Message, Query, ResponseCode, update_message};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm as Mac, TsigError};
use hickory_proto::rr::{Name, RData, Record, RecordSet, RecordType, TSigner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::{Dns01Error, UpdateFault};
use super::options::{Rfc2136Options, ServerAddress, TsigAlgorithm};
use super::provider::{DnsProvider, TxtRecord};

/// Time limit for one exchange with the server.
const DEADLINE: Duration = Duration::from_secs(10);

/// Allowed difference between the two clocks, in seconds (RFC 8945 section 10).
const FUDGE: u16 = 300;

/// Time to live of the record, in seconds. Short, because the record is removed soon.
const TTL: u32 = 60;

/// Sends updates to one server. `Debug` does not show the key.
pub struct Rfc2136 {
    server: ServerAddress,
    key_name: String,
    signer: TSigner,
}

/// Kind of update.
#[derive(Clone, Copy)]
enum Change {
    Add,
    Remove,
}

impl Rfc2136 {
    /// Decodes the key. Sends nothing yet.
    pub fn new(options: &Rfc2136Options) -> Result<Self, Dns01Error> {
        let signer = signer(options).map_err(|fault| Dns01Error::Update {
            server: options.server.clone(),
            fault,
        })?;
        Ok(Self {
            server: options.server.clone(),
            key_name: options.key_name.clone(),
            signer,
        })
    }

    async fn change(&self, change: Change, record: &TxtRecord) -> Result<(), Dns01Error> {
        let outcome = self.try_change(change, record).await;
        outcome.map_err(|fault| Dns01Error::Update {
            server: self.server.clone(),
            fault,
        })
    }

    async fn try_change(&self, change: Change, record: &TxtRecord) -> Result<(), UpdateFault> {
        let name = record.name.clone();
        let Ok(owner) = fqdn(&name) else {
            return Err(UpdateFault::NoZone(name));
        };
        let zone = self.zone(&owner).await?;
        let mut records = RecordSet::with_ttl(owner.clone(), RecordType::TXT, TTL);
        let text = RData::TXT(TXT::new(vec![record.value.clone()]));
        records.insert(Record::from_rdata(owner, TTL, text), 0);
        let update = match change {
            Change::Add => update_message::append(records, zone, false, false),
            Change::Remove => update_message::delete_by_rdata(records, zone, false),
        };
        match self.exchange(update).await?.response_code {
            ResponseCode::NoError => Ok(()),
            code @ (ResponseCode::Refused | ResponseCode::NotAuth) => {
                Err(UpdateFault::Refused { name, code })
            }
            code => Err(UpdateFault::Failed { name, code }),
        }
    }

    /// Returns the zone that contains `name`: the owner of the SOA record in an authoritative answer of the server.
    async fn zone(&self, name: &Name) -> Result<Name, UpdateFault> {
        let mut asked = name.clone();
        while !asked.is_root() {
            let mut question = Message::query();
            question.add_query(Query::query(asked.clone(), RecordType::SOA));
            let answer = self.exchange(question).await?;
            let mut records = answer.answers.iter().chain(&answer.authorities);
            let soa = records.find(|record| {
                record.record_type() == RecordType::SOA && record.name.zone_of(name)
            });
            if let Some(soa) = soa.filter(|_| answer.metadata.authoritative) {
                return Ok(soa.name.clone());
            }
            asked = asked.base_name();
        }
        let name = name.to_ascii();
        let name = name.trim_end_matches('.').to_owned();
        Err(UpdateFault::NoZone(name))
    }

    async fn exchange(&self, message: Message) -> Result<Message, UpdateFault> {
        timeout(DEADLINE, self.send(message))
            .await
            .unwrap_or(Err(UpdateFault::Timeout))
    }

    /// Signs the message, and accepts only an answer that is signed with the same key.
    async fn send(&self, mut message: Message) -> Result<Message, UpdateFault> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let garbled = |error: &dyn fmt::Display| UpdateFault::BadAnswer(error.to_string());
        let verifier = message.finalize(&self.signer, now);
        let verifier = verifier.map_err(|error| garbled(&error))?;
        let bytes = message.to_vec().map_err(|error| garbled(&error))?;
        let bytes = self.transfer(&bytes).await?;
        let answer = Message::from_vec(&bytes).map_err(|error| garbled(&error))?;
        if answer.id != message.id {
            return Err(garbled(&"its message id does not match the request"));
        }
        let complaint = answer.signature().and_then(|tsig| tsig.data.error);
        match complaint {
            Some(TsigError::BadSig) => Err(UpdateFault::BadSignature(self.key_name.clone())),
            Some(TsigError::BadKey) => Err(UpdateFault::BadKey(self.key_name.clone())),
            Some(TsigError::BadTime) => Err(UpdateFault::BadTime),
            _ => {
                if let Some(mut verifier) = verifier {
                    let verified = verifier.verify(&bytes);
                    verified.map_err(|error| garbled(&error))?;
                }
                Ok(answer)
            }
        }
    }

    /// Sends one message and receives one over a new TCP connection (RFC 1035 section 4.2.2).
    async fn transfer(&self, message: &[u8]) -> Result<Vec<u8>, UpdateFault> {
        let ServerAddress { host, port } = &self.server;
        let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
        let length = u16::try_from(message.len());
        let length = length.map_err(|_| UpdateFault::BadAnswer("it is too long".to_owned()))?;
        stream
            .write_all(&[&length.to_be_bytes(), message].concat())
            .await?;
        let mut answer = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

fn signer(options: &Rfc2136Options) -> Result<TSigner, UpdateFault> {
    let key = STANDARD.decode(options.key.expose().trim());
    let key = key.map_err(|_| UpdateFault::Key("`key` is not valid base64"))?;
    let name = fqdn(&options.key_name)
        .map_err(|_| UpdateFault::Key("`key-name` is not a valid DNS name"))?;
    let algorithm = match options.algorithm {
        TsigAlgorithm::HmacSha256 => Mac::HmacSha256,
        TsigAlgorithm::HmacSha384 => Mac::HmacSha384,
        TsigAlgorithm::HmacSha512 => Mac::HmacSha512,
    };
    TSigner::new(key, algorithm, name, FUDGE)
        .map_err(|_| UpdateFault::Key("`algorithm` is not supported"))
}

fn fqdn(text: &str) -> Result<Name, hickory_proto::ProtoError> {
    let mut name = Name::from_ascii(text)?;
    name.set_fqdn(true);
    Ok(name)
}

impl fmt::Debug for Rfc2136 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rfc2136")
            .field("server", &self.server)
            .field("key_name", &self.key_name)
            .finish_non_exhaustive()
    }
}

impl DnsProvider for Rfc2136 {
    fn check<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async move {
            let zone = match fqdn(name) {
                Ok(owner) => self.zone(&owner).await,
                Err(_) => Err(UpdateFault::NoZone(name.to_owned())),
            };
            zone.map(drop).map_err(|fault| Dns01Error::Update {
                server: self.server.clone(),
                fault,
            })
        }
        .boxed()
    }

    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        self.change(Change::Add, record).boxed()
    }

    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>> {
        self.change(Change::Remove, record).boxed()
    }
}
