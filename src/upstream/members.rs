//! Who belongs to an upstream: what is an address by itself always, what stands behind a name for as long as DNS says so.

use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::address::Address;
use super::backend::Backend;
use super::error::Error;
use super::group::Upstream;
use super::host::{AFTER_FAILURE, Found, Host};
use super::roster::{Member, Roster, gcd};
use super::succession::Former;
use super::terms::Terms;
use crate::tasks::Shutdown;

/// The most that one weight is divided into.
const MOST_PARTS: u32 = 5040;

/// Whoever belongs to an upstream.
#[derive(Debug)]
pub(super) enum Members {
    /// The same for ever.
    Fixed(Roster),
    Named(Arc<Named>),
}

/// Those of this moment, for the length of a request.
#[derive(Debug)]
pub(super) enum Present<'a> {
    Fixed(&'a Roster),
    Held(Arc<Held>),
}

/// One runtime's hold on a roster, on cache lines of its own: to count the requests that use it writes to no memory that
/// another runtime writes to.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Held(Arc<Roster>);

impl Deref for Present<'_> {
    type Target = Roster;

    fn deref(&self) -> &Roster {
        match self {
            Self::Fixed(roster) => roster,
            Self::Held(held) => &held.0,
        }
    }
}

impl Members {
    /// The members at these addresses, with what the `old` upstreams know of them. If one is a name, a runtime must be entered,
    /// which follows it.
    pub(super) fn new(addresses: Vec<Address>, old: &[Arc<Upstream>], terms: &Arc<Terms>) -> Self {
        let entry = |address| Entry::new(address, old, terms);
        let entries: Box<[_]> = addresses.into_iter().map(entry).collect();
        let formers = Former::of(old);
        match entries.iter().any(|entry| entry.host.is_some()) {
            true => Self::Named(Named::start(entries, &formers, terms)),
            false => Self::Fixed(Roster::new(members(&entries), &formers, terms)),
        }
    }

    /// Where the name in one of the addresses leads to, as far as that is known.
    fn found_at(&self, address: &Address) -> Option<Vec<Found>> {
        let Self::Named(named) = self else {
            return None;
        };
        let entry = named.entries.iter().find(|it| it.address == *address)?;
        entry.found().filter(|found| !found.is_empty())
    }

    /// Those that are known now. `None` if all are names that are not resolved.
    pub(super) fn present(&self, worker: usize) -> Option<Present<'_>> {
        match self {
            Self::Fixed(roster) => Some(Present::Fixed(roster)),
            Self::Named(named) => named.present(worker).map(Present::Held),
        }
    }

    /// The same, after a look at DNS.
    pub(super) async fn found(&self, worker: usize) -> Result<Present<'_>, Error> {
        match self {
            Self::Fixed(roster) => Ok(Present::Fixed(roster)),
            Self::Named(named) => Ok(Present::Held(named.found(worker).await?)),
        }
    }

    /// All of them, in the order of their addresses.
    pub(super) fn backends(&self) -> Vec<Backend> {
        match self {
            Self::Fixed(roster) => roster.backends().to_vec(),
            Self::Named(named) => named.backends(),
        }
    }
}

/// What one address of the configuration leads to.
#[derive(Debug)]
struct Entry {
    address: Address,
    /// Where it is a name.
    host: Option<Arc<Host>>,
    found: Mutex<Vec<Found>>,
}

impl Entry {
    /// Until DNS is asked, a name leads to where it led to before.
    fn new(address: Address, old: &[Arc<Upstream>], terms: &Terms) -> Self {
        let host = terms.means.resolver.host(&address);
        let known = host.as_ref().and_then(|host| host.known());
        let found = match known {
            Some(known) => known.addresses.clone(),
            None => {
                let mut members = old.iter().map(|upstream| upstream.members());
                let found = members.find_map(|members| members.found_at(&address));
                found.unwrap_or_default()
            }
        };
        Self {
            address,
            host,
            found: Mutex::new(found),
        }
    }

    /// Where its name leads to. `None` if it has none.
    fn found(&self) -> Option<Vec<Found>> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        self.host.as_ref().map(|_| found().clone())
    }

    /// Takes note of what a name leads to. Returns whether that is new.
    fn note(&self, addresses: &[Found]) -> bool {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *found != addresses;
        if is_new {
            addresses.clone_into(&mut found);
        }
        is_new
    }
}

/// All addresses, each with the number of its entry. The addresses of a service's target share its weight.
fn members(entries: &[Entry]) -> Vec<Member> {
    let found: Vec<_> = entries.iter().map(Entry::found).collect();
    let parts = parts(found.iter().flatten());
    let mut members = Vec::new();
    for (number, (entry, found)) in entries.iter().zip(found).enumerate() {
        let member = |address, weight| Member {
            number,
            address,
            weight,
        };
        let Some(found) = found else {
            members.push(member(entry.address.clone(), parts));
            continue;
        };
        for alike in by_target(&found) {
            let weight = match alike[0].target() {
                None => parts,
                Some(target) => u32::from(target.weight) * parts / count(alike),
            };
            let addresses = alike.iter().map(|found| found.member_of(&entry.address));
            members.extend(addresses.map(|address| member(address, weight)));
        }
    }
    members
}

/// What a weight of 1 is multiplied by, so that each target's can be shared evenly among its addresses: nearly so where there
/// are many targets with many addresses.
fn parts<'a>(found: impl Iterator<Item = &'a Vec<Found>>) -> u32 {
    let of_services = found
        .flat_map(|found| by_target(found))
        .filter(|alike| alike[0].target().is_some());
    of_services
        .map(count)
        .try_fold(1, |parts: u32, count| {
            let multiple = parts / gcd(parts, count) * count;
            (multiple <= MOST_PARTS).then_some(multiple)
        })
        .unwrap_or(MOST_PARTS)
}

/// The addresses of each target; what is in ascending order has them side by side.
fn by_target(found: &[Found]) -> impl Iterator<Item = &[Found]> {
    found.chunk_by(|one, other| one.target() == other.target())
}

fn count(alike: &[Found]) -> u32 {
    u32::try_from(alike.len()).unwrap_or(u32::MAX)
}

/// Members some of which are names.
#[derive(Debug)]
pub(super) struct Named {
    entries: Box<[Entry]>,
    terms: Arc<Terms>,
    holds: Box<[ArcSwap<Held>]>,
    /// Held by who puts a new roster in the place of the old one.
    changing: Mutex<()>,
}

impl Named {
    fn start(entries: Box<[Entry]>, formers: &[Former], terms: &Arc<Terms>) -> Arc<Self> {
        let roster = Arc::new(Roster::new(members(&entries), formers, terms));
        let hold = |_| ArcSwap::from_pointee(Held(Arc::clone(&roster)));
        let named = Arc::new(Self {
            holds: (0..terms.means.workers.max(1)).map(hold).collect(),
            entries,
            terms: Arc::clone(terms),
            changing: Mutex::new(()),
        });
        let tasks = &terms.means.tasks;
        for (number, entry) in named.entries.iter().enumerate() {
            if entry.host.is_some() {
                tasks.spawn(follow(Arc::downgrade(&named), number, tasks.shutdown()));
            }
        }
        named
    }

    fn present(&self, worker: usize) -> Option<Arc<Held>> {
        let held = self.holds[worker % self.holds.len()].load_full();
        (!held.0.backends().is_empty()).then_some(held)
    }

    fn backends(&self) -> Vec<Backend> {
        self.holds[0].load().0.backends().to_vec()
    }

    /// The members after the first name that resolves has brought some.
    async fn found(&self, worker: usize) -> Result<Arc<Held>, Error> {
        let asking = async {
            let mut answers: FuturesUnordered<_> =
                self.entries.iter().map(|entry| self.ask(entry)).collect();
            let mut last = None;
            while let Some(answer) = answers.next().await {
                match self.present(worker) {
                    Some(held) => return Ok(held),
                    None => last = answer.err().or(last),
                }
            }
            Err(last.unwrap_or(Error::NoBackend))
        };
        let asked = timeout(self.terms.options.connect_timeout, asking).await;
        asked.unwrap_or_else(|_| {
            Err(Error::ConnectTimeout {
                backend: self.entries[0].address.clone(),
            })
        })
    }

    /// Looks where an entry leads to. Returns until when that holds.
    async fn ask(&self, entry: &Entry) -> Result<Option<Instant>, Error> {
        let Some(host) = &entry.host else {
            return Ok(None);
        };
        let answer = host.addresses().await;
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let is_new = match &answer {
            Ok(known) => entry.note(&known.addresses),
            Err(error) if is_gone(error) => entry.note(&[]),
            // Where it led to before is the best guess.
            Err(_) => false,
        };
        if is_new {
            debug!(host = %host.name(), found = ?entry.found(), "name of backends leads elsewhere");
            self.change();
        }
        match answer {
            Ok(known) => Ok(Some(known.until)),
            Err(source) => Err(Error::Resolve {
                backend: entry.address.clone(),
                source,
            }),
        }
    }

    /// Puts the members that are known now in the place of those before. Who stays keeps what is known of it; who goes serves
    /// what it has to the end.
    fn change(&self) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let formers = Former::on(&self.terms, self.backends());
        let roster = Arc::new(Roster::new(members(&self.entries), &formers, &self.terms));
        for hold in &self.holds {
            hold.store(Arc::new(Held(Arc::clone(&roster))));
        }
    }
}

/// Asks for the addresses of one entry whenever their time is over, for as long as anybody uses the upstream.
async fn follow(named: Weak<Named>, number: usize, shutdown: Shutdown) {
    let mut is_resolved = true;
    while let Some(members) = named.upgrade() {
        let answer = tokio::select! {
            answer = members.ask(&members.entries[number]) => answer,
            () = shutdown.requested() => return,
        };
        drop(members);
        if let Err(error) = &answer
            && is_resolved
        {
            warn!(
                error = error as &dyn std::error::Error,
                "name of backends does not resolve"
            );
        }
        is_resolved = answer.is_ok();
        let until = answer.ok().flatten();
        tokio::select! {
            () = sleep_until(until.unwrap_or_else(|| Instant::now() + AFTER_FAILURE)) => {}
            () = shutdown.requested() => return,
        }
    }
}
