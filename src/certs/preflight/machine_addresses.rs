//! Classification of addresses as those of this machine or of others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::options::Trial;
use super::preflight_verdict::Ownership;
use super::reachability::Reachability;

/// Network of this machine, real or simulated.
#[derive(Debug)]
pub(super) struct MachineAddresses {
    trial: Option<Trial>,
}

impl MachineAddresses {
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
            None => ownership(source_address(address), address),
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

/// Returns the source address of packets from this machine to `address`. For an address of this machine, this is the
/// address itself. Sends nothing.
fn source_address(address: IpAddr) -> Option<IpAddr> {
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
    fn an_address_of_this_machine_is_recognized() {
        let own = Ipv4Addr::LOCALHOST.into();
        assert_eq!(source_address(own), Some(own));
        assert_eq!(MachineAddresses::new(None).ownership(own), Ownership::Own);
    }

    #[test]
    fn an_address_certainly_belongs_to_another_machine_only_if_this_one_has_a_public_address() {
        let address: IpAddr = "9.9.9.9".parse().unwrap();
        for (source, expected) in [
            (Some("9.9.9.9"), Ownership::Own),
            (Some("1.1.1.1"), Ownership::Foreign),
            (Some("10.0.0.1"), Ownership::Unclear),
            (None, Ownership::Unclear),
        ] {
            let source = source.map(|source| source.parse().unwrap());
            assert_eq!(ownership(source, address), expected, "{source:?}");
        }
    }
}
