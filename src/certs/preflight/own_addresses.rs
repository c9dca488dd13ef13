//! Where this machine stands on the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::options::Trial;
use super::reachability::Reachability;
use super::verdict::Ownership;

/// The network as this machine sees it, or as a trial pretends it to be.
#[derive(Debug)]
pub(super) struct OwnAddresses {
    trial: Option<Trial>,
}

impl OwnAddresses {
    pub(super) fn new(trial: Option<Trial>) -> Self {
        Self { trial }
    }

    pub(super) fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    pub(super) fn reach(&self, address: IpAddr) -> Reachability {
        match Reachability::of(address) {
            Reachability::Loopback if self.is_trial() => Reachability::Public,
            reach => reach,
        }
    }

    pub(super) fn ownership(&self, address: IpAddr) -> Ownership {
        match &self.trial {
            Some(trial) if trial.own.contains(&address) => Ownership::Own,
            Some(_) => Ownership::Foreign,
            None => ownership(source_toward(address), address),
        }
    }
}

fn ownership(source: Option<IpAddr>, address: IpAddr) -> Ownership {
    match source {
        Some(source) if source == address => Ownership::Own,
        Some(source) if Reachability::of(source) == Reachability::Public => Ownership::Foreign,
        _ => Ownership::Unclear,
    }
}

/// The address of this machine that packets to `address` leave from. For an address of its own that is the address
/// itself. Nothing is sent.
fn source_toward(address: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::from((address, 80))).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_known_as_its_own() {
        let own = Ipv4Addr::LOCALHOST.into();
        assert_eq!(source_toward(own), Some(own));
        assert_eq!(OwnAddresses::new(None).ownership(own), Ownership::Own);
    }

    #[test]
    fn another_address_is_surely_another_machine_only_from_a_public_one() {
        let there: IpAddr = "9.9.9.9".parse().unwrap();
        for (source, expected) in [
            (Some("9.9.9.9"), Ownership::Own),
            (Some("1.1.1.1"), Ownership::Foreign),
            (Some("10.0.0.1"), Ownership::Unclear),
            (None, Ownership::Unclear),
        ] {
            let source = source.map(|source| source.parse().unwrap());
            assert_eq!(ownership(source, there), expected, "{source:?}");
        }
    }
}
