//! What stands between a name and its validation, each in one sentence with the fix.

use std::net::IpAddr;

use super::reachability::Reachability;
use crate::acme::ChallengeType;
use crate::name::{HostName, HostPattern};

/// Where an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// An IPv4 address in DNS.
    A,
    /// An IPv6 address in DNS.
    Aaaa,
    /// The certificate is for the address itself.
    Literal,
}

/// Why an order would fail, or may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// NXDOMAIN.
    #[error("{0} does not exist in DNS; add an A or AAAA record that points to this machine")]
    NoSuchName(HostPattern),
    /// The name is there and has no address.
    #[error("{0} has neither an A nor an AAAA record; add one that points to this machine")]
    NoAddress(HostPattern),
    /// A look-up gave no answer.
    #[error("DNS does not say where {name} points: {error}")]
    LookupFailed {
        /// The name.
        name: HostPattern,
        /// What the resolver said.
        error: String,
    },
    /// CAA look-ups gave no answer.
    #[error(
        "the CAA records of {name} cannot be looked up, and a CA that cannot do so refuses: {error}"
    )]
    CaaLookupFailed {
        /// The name.
        name: HostName,
        /// What the resolver said.
        error: String,
    },
    /// The address is none that a public CA can reach.
    #[error("{} {reach} that no public CA can reach; point it to this machine's public address", .record.is(*.address))]
    NotPublic {
        /// Where the address stands.
        record: Record,
        /// The address.
        address: IpAddr,
        /// What it is.
        reach: Reachability,
    },
    /// Another machine answers.
    #[error("{} not this machine: it answers port 80 with status {status}; {}", .record.is(*.address), .record.fix())]
    Elsewhere {
        /// Where the address stands.
        record: Record,
        /// The address.
        address: IpAddr,
        /// Its answer.
        status: u16,
    },
    /// Another machine answers, or the router that stands before this one.
    #[error(
        "{} perhaps not this machine: it answers port 80 with status {status}, which may also be a router that treats its own network in another way",
        .record.is(*.address)
    )]
    MaybeElsewhere {
        /// Where the address stands.
        record: Record,
        /// The address.
        address: IpAddr,
        /// Its answer.
        status: u16,
    },
    /// This machine answers, and not this process.
    #[error(
        "another program answers port 80 of {address} with status {status}; let it pass /.well-known/acme-challenge/ on to this proxy, or give this proxy the port"
    )]
    OtherProgram {
        /// The address.
        address: IpAddr,
        /// Its answer.
        status: u16,
    },
    /// It sends the CA elsewhere.
    #[error("{} answering port 80 with a redirect, status {status}; it has to lead the CA to this machine", .record.is(*.address))]
    Redirect {
        /// Where the address stands.
        record: Record,
        /// The address.
        address: IpAddr,
        /// Its answer.
        status: u16,
    },
    /// No connection, which from behind a router need not mean anything.
    #[error(
        "{} not reachable on port 80 from here; open port 80 to the internet, unless it is open and only this machine cannot use its public address",
        .record.is(*.address)
    )]
    Unreachable {
        /// Where the address stands.
        record: Record,
        /// The address.
        address: IpAddr,
    },
    /// A connection and no HTTP answer.
    #[error("{} accepting connections on port 80 and not answering them", .record.is(*.address))]
    Silent {
        /// Where the address stands.
        record: Record,
        /// The address.
        address: IpAddr,
    },
    /// The look took too long.
    #[error("the look at {0} before its order took too long")]
    Slow(HostPattern),
    /// CAA records stand against it.
    #[error("{0}")]
    Caa(#[from] CaaReason),
}

/// What CAA records have against an order (RFC 8659).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaaReason {
    /// The CA is not among those that are allowed.
    #[error("CAA forbids this issuer: the records of {owner} allow {}; {}", listed(.allowed, "nobody"), add(.property, .identity.as_deref()))]
    Issuer {
        /// Whose records.
        owner: String,
        /// `issue` or `issuewild`.
        property: &'static str,
        /// Those that are allowed.
        allowed: Vec<String>,
        /// What the CA calls itself, where it was asked.
        identity: Option<String>,
    },
    /// The CA is allowed, and not by these challenges (RFC 8657 section 4).
    #[error(
        "CAA forbids how this issuer validates: the record of {owner} allows {} only; add {} to its validationmethods",
        listed(.allowed, "nothing"),
        listed(.wanted, "the challenge in use")
    )]
    Methods {
        /// Whose record.
        owner: String,
        /// The challenges that it allows.
        allowed: Vec<String>,
        /// Those that would be used.
        wanted: Vec<ChallengeType>,
    },
    /// The CA is allowed, and not with this account (RFC 8657 section 3).
    #[error(
        "CAA forbids this issuer's account: the record of {owner} names another one; set its accounturi to {account}, or remove it"
    )]
    Account {
        /// Whose record.
        owner: String,
        /// The account in use.
        account: String,
    },
    /// A property that binds all CAs and that none knows.
    #[error(
        "CAA forbids every issuer: the records of {owner} have the critical property {property}, which no CA knows; correct or remove it"
    )]
    Critical {
        /// Whose records.
        owner: String,
        /// The property.
        property: String,
    },
}

impl Reason {
    /// Whether it is what DNS tells this machine, and may well tell nobody outside: many networks have names and addresses
    /// of their own.
    #[must_use]
    pub(super) fn is_of_view(&self) -> bool {
        match self {
            Self::NoSuchName(_) | Self::NoAddress(_) => true,
            Self::NotPublic { record, reach, .. } => {
                *record != Record::Literal && *reach != Reachability::Documentation
            }
            _ => false,
        }
    }

    /// Whether it stands against this issuer alone, so that another one could sign.
    #[must_use]
    pub fn is_about_issuer(&self) -> bool {
        match self {
            Self::Caa(CaaReason::Critical { .. }) => false,
            Self::Caa(_) => true,
            _ => false,
        }
    }
}

impl Record {
    fn is(self, address: IpAddr) -> String {
        match self {
            Self::A => format!("A points to {address}, which is"),
            Self::Aaaa => format!("AAAA points to {address}, which is"),
            Self::Literal => format!("{address} is"),
        }
    }

    fn fix(self) -> &'static str {
        match self {
            Self::A | Self::Aaaa => "point it here, or remove it",
            Self::Literal => "serve it from the machine that has it",
        }
    }
}

fn listed<T: ToString>(items: &[T], none: &str) -> String {
    match items {
        [] => none.to_owned(),
        items => {
            let items: Vec<_> = items.iter().map(ToString::to_string).collect();
            items.join(", ")
        }
    }
}

fn add(property: &str, identity: Option<&str>) -> String {
    match identity {
        Some(identity) => format!("add `{property} \"{identity}\"` to them"),
        None => format!("add an `{property}` record that names the CA"),
    }
}
