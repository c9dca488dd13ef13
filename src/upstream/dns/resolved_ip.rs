//! One address to which the name of a backend resolves.

use std::net::IpAddr;

use crate::name::HostName;
use crate::upstream::address::Address;
use crate::upstream::srv_name::SrvTarget;

/// One IP address, with the SRV target that led to it, if any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::upstream) struct ResolvedIp {
    target: Option<SrvTarget>,
    pub(in crate::upstream) ip: IpAddr,
}

impl From<IpAddr> for ResolvedIp {
    fn from(ip: IpAddr) -> Self {
        Self { target: None, ip }
    }
}

impl ResolvedIp {
    pub(super) fn of_target(target: SrvTarget, ip: IpAddr) -> Self {
        Self {
            target: Some(target),
            ip,
        }
    }

    /// Returns the address of the backend that `name`, which resolved to this address, has here.
    pub(in crate::upstream) fn backend_of(&self, name: &Address) -> Address {
        match &self.target {
            None => name.at(self.ip),
            Some(target) => name.at_target(target, self.ip),
        }
    }

    /// Target of the SRV record, if the name is a service.
    pub(in crate::upstream) fn target(&self) -> Option<&SrvTarget> {
        self.target.as_ref()
    }

    /// `true` if this is an address of a target with this host.
    pub(super) fn is_of(&self, host: &HostName) -> bool {
        self.target
            .as_ref()
            .is_some_and(|target| target.host == *host)
    }
}
