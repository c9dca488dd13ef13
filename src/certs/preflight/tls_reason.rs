//! Reasons why port 443 of a name is not answered by this process, each as one sentence with the fix.

use std::net::IpAddr;

use super::reason::Record;

/// Reason why TLS clients of a name may not reach this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsReason {
    /// No connection is possible.
    #[error(
        "{} not reachable on port 443 from here; open port 443, or ignore this if it is open, because some routers do not let a machine reach its own public address",
        .record.is(*.address)
    )]
    Unreachable {
        /// Source of the address.
        record: Record,
        /// Address of the name.
        address: IpAddr,
    },
    /// No connection to an address of this machine is possible.
    #[error(
        "nothing answers port 443 of {address}, an address of this machine; see `listen` in the Proxyfile, and open the port in the firewall of this machine"
    )]
    Closed {
        /// Address of the name.
        address: IpAddr,
    },
    /// The connection is accepted, but there is no TLS.
    #[error(
        "{} accepting connections on port 443 but not answering TLS; correct the firewall, tunnel or program that accepts them",
        .record.is(*.address)
    )]
    Silent {
        /// Source of the address.
        record: Record,
        /// Address of the name.
        address: IpAddr,
    },
    /// Another process on this machine answers.
    #[error(
        "another program answers port 443 of {address}; let it pass TLS connections on to this proxy, or give this proxy the port"
    )]
    OtherProgram {
        /// Address of the name.
        address: IpAddr,
    },
    /// Another machine answers.
    #[error("{} not this machine: another one answers port 443 there; {}", .record.is(*.address), .record.fix())]
    Elsewhere {
        /// Source of the address.
        record: Record,
        /// Address of the name.
        address: IpAddr,
    },
    /// Another machine answers, or the router in front of this one.
    #[error(
        "{} perhaps not this machine: the answer on port 443 may be of a router in between; try it from another network, and correct the record if another machine answers",
        .record.is(*.address)
    )]
    MaybeElsewhere {
        /// Source of the address.
        record: Record,
        /// Address of the name.
        address: IpAddr,
    },
}

impl TlsReason {
    /// `true` if clients certainly do not reach this process.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        match self {
            Self::Closed { .. } | Self::OtherProgram { .. } | Self::Elsewhere { .. } => true,
            Self::Unreachable { .. } | Self::Silent { .. } | Self::MaybeElsewhere { .. } => false,
        }
    }
}
