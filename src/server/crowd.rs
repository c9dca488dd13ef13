//! How many connections each client has, where that is bounded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use crate::proxy::ClientKey;

/// Counts the open connections of each client over all doors. Remembers no client that has none.
#[derive(Clone, Debug)]
pub struct Crowd {
    limit: Option<u16>,
    counts: Arc<Mutex<HashMap<ClientKey, u16>>>,
}

impl Crowd {
    /// Lets each client have up to `limit` connections, or any number.
    #[must_use]
    pub fn new(limit: Option<u16>) -> Self {
        Self {
            limit,
            counts: Arc::default(),
        }
    }

    /// Counts a connection from `address` until what is returned is dropped. `None` when the client has as many as it may.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Member> {
        let Some(limit) = self.limit else {
            return Some(Member::default());
        };
        let key = ClientKey::of(address);
        let mut counts = self.counts();
        let count = counts.entry(key).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Member(Some(Box::new((self.clone(), key)))))
    }

    fn leave(&self, key: ClientKey) {
        let mut counts = self.counts();
        if let Entry::Occupied(mut entry) = counts.entry(key) {
            match entry.get() {
                0 | 1 => {
                    entry.remove();
                }
                count => {
                    let rest = count - 1;
                    entry.insert(rest);
                }
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<ClientKey, u16>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection among those of its client.
#[derive(Debug, Default)]
pub(super) struct Member(Option<Box<(Crowd, ClientKey)>>);

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(member) = self.0.take() {
            member.0.leave(member.1);
        }
    }
}

/// A connection's place among all that are open and among those of its client, given back when dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
    member: Member,
}

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit, member: Member) -> Self {
        Self {
            _permit: permit,
            member,
        }
    }

    /// The place among those of its client, where that was not known at once.
    pub(super) fn join(&mut self, member: Member) {
        self.member = member;
    }
}

impl From<OwnedSemaphorePermit> for Place {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self::new(permit, Member::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_so_many_connections_and_others_have_theirs() {
        let crowd = Crowd::new(Some(2));
        let first = crowd.admit(ip("2001:db8::1"));
        let second = crowd.admit(ip("2001:db8::2"));
        assert!(first.is_some() && second.is_some());
        assert!(crowd.admit(ip("2001:db8::3")).is_none());
        assert!(crowd.admit(ip("2001:db8:0:1::3")).is_some());
        drop(first);
        assert!(crowd.admit(ip("2001:db8::3")).is_some());
    }

    #[test]
    fn nobody_is_remembered_who_has_left() {
        let crowd = Crowd::new(Some(2));
        let members: Vec<_> = (0..1000)
            .map(|number| crowd.admit(std::net::Ipv4Addr::from_bits(number).into()))
            .collect();
        assert_eq!(crowd.counts().len(), 1000);
        drop(members);
        assert!(crowd.counts().is_empty());
    }

    #[test]
    fn without_a_limit_nobody_is_counted() {
        let crowd = Crowd::new(None);
        let _members: Vec<_> = (0..10).map(|_| crowd.admit(ip("::1")).unwrap()).collect();
        assert!(crowd.counts().is_empty());
    }
}
