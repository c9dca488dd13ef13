//! Resolver for all backends, with one cached entry for each host or service.

use std::fmt;
use std::sync::Arc;

use dashmap::DashMap;

use super::cached_name::{CachedName, Question};
use super::host_lookup::HostLookup;
use super::name_failures::NameFailures;
use crate::dns_client::NameServer;
use crate::name::HostName;
use crate::upstream::address::{Address, Endpoint};

/// Resolver for the hosts and services of all backends. Clones share the entries.
#[derive(Clone)]
pub struct Resolver(Arc<Entries>);

struct Entries {
    client: HostLookup,
    names: DashMap<Question, Arc<CachedName>>,
    failures: Arc<NameFailures>,
}

impl Resolver {
    /// A resolver that queries these servers.
    #[must_use]
    pub fn new(servers: Vec<NameServer>) -> Self {
        Self(Arc::new(Entries {
            client: HostLookup::new(servers),
            names: DashMap::new(),
            failures: Arc::default(),
        }))
    }

    /// `true` if both are clones of one resolver.
    pub(in crate::upstream) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the entry for the name in `address`, which all callers share. `None` for an IP address, a unix socket or
    /// a name that always means this machine.
    pub(in crate::upstream) fn name_of(&self, address: &Address) -> Option<Arc<CachedName>> {
        let question = match address.endpoint() {
            Endpoint::Unix(_) => return None,
            Endpoint::Tcp(name, _) if is_here(name) || name.ip().is_some() => return None,
            Endpoint::Tcp(name, _) => Question::Host(name.clone()),
            Endpoint::Service(service) => Question::Service(service.clone()),
        };
        let Entries {
            client,
            names,
            failures,
        } = &*self.0;
        let name = names.entry(question.clone()).or_insert_with(|| {
            let (client, failures) = (client.clone(), Arc::clone(failures));
            Arc::new(CachedName::new(question, client, failures))
        });
        Some(Arc::clone(&name))
    }

    /// The log of names that do not resolve.
    pub(in crate::upstream) fn failures(&self) -> &Arc<NameFailures> {
        &self.0.failures
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resolver").field(&self.0.client).finish()
    }
}

/// `true` if the name always means this machine.
fn is_here(name: &HostName) -> bool {
    name.as_str() == "localhost" || name.as_str().ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_have_entries_and_equal_names_share_one() {
        let resolver = Resolver::new(vec![NameServer::System]);
        let host = |text: &str| resolver.name_of(&Address::parse(text).unwrap());
        for here in [
            "10.0.0.1:1",
            "[::1]:1",
            "localhost:1",
            "app.localhost:1",
            "unix:/a",
        ] {
            assert!(host(here).is_none(), "{here}");
        }
        let (one, other) = (host("app:1").unwrap(), host("https://app").unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        assert!(!Arc::ptr_eq(&one, &host("srv://app").unwrap()));
    }
}
