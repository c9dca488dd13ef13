//! Reasons against an order, each as one sentence with the fix.

use std::net::IpAddr;

use super::reachability::Reachability;
use crate::acme::ChallengeType;
use crate::name::{HostName, HostPattern};

/// Source of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A record.
    A,
    /// AAAA record.
    Aaaa,
    /// The certificate is for the address itself.
    Literal,
}

/// Reason why an order would fail or may fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The name does not exist (NXDOMAIN).
    #[error("{0} does not exist in DNS; add an A or AAAA record that points to this machine")]
    NoSuchName(HostPattern),
    /// The name exists but has no address.
    #[error("{0} has neither an A nor an AAAA record; add one that points to this machine")]
    NoAddress(HostPattern),
    /// The look-up of the addresses failed.
    #[error("the addresses of {name} cannot be looked up: {error}")]
    LookupFailed {
        /// Name that was looked up.
        name: HostPattern,
        /// Error of the resolver.
        error: String,
    },
    /// The look-up of the CAA records failed.
    #[error(
        "the CAA records of {name} cannot be looked up, and a CA that cannot look them up refuses the order: {error}"
    )]
    CaaLookupFailed {
        /// Name that was looked up.
        name: HostName,
        /// Error of the resolver.
        error: String,
    },
    /// No public CA can reach the address.
    #[error("{} {reach} that no public CA can reach; point it to this machine's public address", .record.is(*.address))]
    NotPublic {
        /// Source of the address.
        record: Record,
        /// Address of the name.
        address: IpAddr,
        /// Kind of address.
        reach: Reachability,
    },
    /// The address belongs to another machine, which answers.
    #[error("{} not this machine: it answers port 80 with status {status}; {}", .record.is(*.address), .record.fix())]
    Elsewhere {
        /// Source of the address.
        record: Record,
        /// Address of the name.
        address: IpAddr,
        /// HTTP status of the answer.
        status: u16,
    },
    /// The answer comes from another machine, or from the router in front of this one.
    #[error(
        "{} perhaps not this machine: status {status} on port 80 may be of a router in between; try it from another network, and correct the record if another machine answers",
        .record.is(*.address)
    )]
    MaybeElsewhere {
        /// Source of the address.
        record: Record,
        /// Address of the name.
        address: IpAddr,
        /// HTTP status of the answer.
        status: u16,
    },
    /// Another process on this machine answers.
    #[error(
        "another program answers port 80 of {address} with status {status}; let it forward /.well-known/acme-challenge/ to this proxy, or give this proxy the port"
    )]
    OtherProgram {
        /// Address of the name.
        address: IpAddr,
        /// HTTP status of the answer.
        status: u16,
    },
    /// The answer is a redirect.
    #[error("{} answering port 80 with a redirect, status {status}; the redirect must lead the CA to this machine", .record.is(*.address))]
    Redirect {
        /// Source of the address.
        record: Record,
        /// Address of the name.
        address: IpAddr,
        /// HTTP status of the answer.
        status: u16,
    },
    /// No connection is possible. Behind a router this may mean nothing.
    #[error(
        "{} not reachable on port 80 from here; open port 80, or ignore this if it is open, because some routers do not let a machine reach its own public address",
        .record.is(*.address)
    )]
    Unreachable {
        /// Source of the address.
        record: Record,
        /// Address of the name.
        address: IpAddr,
    },
    /// The connection is accepted, but there is no HTTP answer.
    #[error("{} accepting connections on port 80 but not answering them; correct the firewall or tunnel that accepts them", .record.is(*.address))]
    Silent {
        /// Source of the address.
        record: Record,
        /// Address of the name.
        address: IpAddr,
    },
    /// The check exceeded its time limit.
    #[error("the checks before the order for {0} took too long; see whether DNS is slow")]
    Slow(HostPattern),
    /// CAA records forbid the order.
    #[error("{0}")]
    Caa(#[from] CaaReason),
}

/// Reason why CAA records forbid an order (RFC 8659).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaaReason {
    /// The records do not allow the CA.
    #[error("CAA forbids this issuer: the records of {owner} allow {}; {}", listed(.allowed, "nobody"), add(.property, .identity.as_deref()))]
    Issuer {
        /// Owner of the records.
        owner: String,
        /// `issue` or `issuewild`.
        property: &'static str,
        /// CAs that are allowed.
        allowed: Vec<String>,
        /// Name of the CA, if it is known.
        identity: Option<String>,
    },
    /// The records allow the CA, but not these challenges (RFC 8657 section 4).
    #[error(
        "CAA forbids how this issuer validates: the record of {owner} allows {} only; add {} to its validationmethods",
        listed(.allowed, "nothing"),
        listed(.wanted, "the challenge in use")
    )]
    Methods {
        /// Owner of the record.
        owner: String,
        /// Challenges that are allowed.
        allowed: Vec<String>,
        /// Challenges that would be used.
        wanted: Vec<ChallengeType>,
    },
    /// The records allow the CA, but not this account (RFC 8657 section 3).
    #[error(
        "CAA forbids this issuer's account: the record of {owner} names another one; set its accounturi to {account}, or remove it"
    )]
    Account {
        /// Owner of the record.
        owner: String,
        /// URL of the account in use.
        account: String,
    },
    /// A critical property is unknown to all CAs.
    #[error(
        "CAA forbids every issuer: the records of {owner} have the critical property {property}, which no CA knows; correct or remove it"
    )]
    Critical {
        /// Owner of the records.
        owner: String,
        /// Tag of the property.
        property: String,
    },
}

impl Reason {
    /// Whether DNS may give other answers outside: many networks have their own names and addresses.
    #[must_use]
    pub(super) fn may_be_local_view(&self) -> bool {
        match self {
            Self::NoSuchName(_) | Self::NoAddress(_) => true,
            Self::NotPublic { record, reach, .. } => {
                *record != Record::Literal && *reach != Reachability::Documentation
            }
            _ => false,
        }
    }

    /// Whether the reason concerns only this issuer, so that another one may sign.
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
    /// Begins a sentence about an address of this record.
    pub(super) fn is(self, address: IpAddr) -> String {
        match self {
            Self::A => format!("A points to {address}, which is"),
            Self::Aaaa => format!("AAAA points to {address}, which is"),
            Self::Literal => format!("{address} is"),
        }
    }

    pub(super) fn fix(self) -> &'static str {
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
