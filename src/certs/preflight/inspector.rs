//! The look itself: gathers what there is to see of a name, and says how it stands.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::caa;
use super::caa::Applicant;
use super::options::PreflightOptions;
use super::own_addresses::OwnAddresses;
use super::probe::{Probe, Token};
use super::reachability::Reachability;
use super::reason::{Reason, Record};
use super::verdict::{Answer, CheckedAddress, Findings, ProbeOutcome, Verdict};
use crate::acme::ChallengeType;
use crate::certs::challenge::Http01Tokens;
use crate::certs::dns::{Resolver, ResolverError};
use crate::certs::issuer::{Inspection, Issuer};
use crate::name::{HostName, HostPattern};

/// How long the whole look may take: a handshake may be waiting for it.
const LIMIT: Duration = Duration::from_secs(15);

/// How many addresses of each kind are visited.
const MOST_VISITED: usize = 4;

/// How sure an order is to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clearance {
    /// Nothing stands against it.
    Sure,
    /// It may fail, for what is told again if it does.
    Doubtful(Reason),
}

/// Looks at names before their CA does.
#[derive(Debug)]
pub struct Preflight {
    resolver: Arc<Resolver>,
    tokens: Arc<Http01Tokens>,
    probe: Probe,
    own_addresses: OwnAddresses,
}

impl Preflight {
    /// Looks through `resolver`, and at tokens that are published in `tokens`.
    pub fn new(
        options: &PreflightOptions,
        resolver: Arc<Resolver>,
        tokens: Arc<Http01Tokens>,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            resolver,
            tokens,
            probe: Probe::new(options.port)?,
            own_addresses: OwnAddresses::new(options.trial.clone()),
        })
    }

    /// Whether an order for `subject` can work. The CA itself is asked for no more than its directory.
    pub async fn clear(
        &self,
        issuer: &dyn Issuer,
        subject: &HostPattern,
    ) -> Result<Clearance, Reason> {
        let Some(inspection) = issuer.inspection(subject) else {
            return Ok(Clearance::Sure);
        };
        let look = timeout(LIMIT, self.look(issuer, subject, &inspection));
        let slow = |_| Verdict::Doubt(Reason::Slow(subject.clone()));
        match look.await.unwrap_or_else(slow) {
            Verdict::Go => {
                debug!(names = %subject, issuer = issuer.name(), "nothing stands against an order");
                Ok(Clearance::Sure)
            }
            Verdict::Doubt(reason) => {
                warn!(names = %subject, issuer = issuer.name(), %reason, "an order may fail");
                Ok(Clearance::Doubtful(reason))
            }
            Verdict::Hopeless(reason) => Err(reason),
        }
    }

    async fn look(
        &self,
        issuer: &dyn Issuer,
        subject: &HostPattern,
        inspection: &Inspection,
    ) -> Verdict {
        let has_public_ca = self.is_public(inspection).await;
        let way = match subject {
            HostPattern::Exact(name) if inspection.needs_connection() => {
                let findings = self.see(name, inspection, has_public_ca).await;
                findings.verdict()
            }
            _ => Verdict::Go,
        };
        if matches!(way, Verdict::Hopeless(_)) {
            return way;
        }
        match self.permission(issuer, subject, inspection).await {
            Verdict::Go => way,
            Verdict::Hopeless(reason) if !has_public_ca => Verdict::Doubt(reason),
            permission => permission,
        }
    }

    /// Whether the CA looks from the internet. A private one may see another DNS than this machine.
    async fn is_public(&self, inspection: &Inspection) -> bool {
        if self.own_addresses.is_trial() {
            return true;
        }
        let host = inspection.directory.host_str().unwrap_or_default();
        let Ok(host) = HostName::parse(host) else {
            return false;
        };
        if inspection.has_root || host.is_local() {
            return false;
        }
        let addresses = match host.ip() {
            Some(ip) => Ok(vec![ip]),
            None => self.resolver.addresses(host.as_str()).await,
        };
        let is_public = |address: &IpAddr| Reachability::of(*address) == Reachability::Public;
        addresses.is_ok_and(|addresses| addresses.iter().all(is_public))
    }

    async fn see(&self, name: &HostName, inspection: &Inspection, has_public_ca: bool) -> Findings {
        let (a, aaaa, found) = self.addresses(name).await;
        let token = Token::publish(&self.tokens);
        let is_fetched = inspection.challenges.contains(&ChallengeType::Http01);
        let is_open = |address: IpAddr| {
            is_fetched
                && (!has_public_ca || self.own_addresses.reach(address) == Reachability::Public)
        };
        let places = found.into_iter().map(|(record, address)| {
            let token = Some(&token).filter(|_| is_open(address));
            async move {
                let visit = match token {
                    Some(token) => self.probe.visit(name, address, token).await,
                    None => ProbeOutcome::Unvisited,
                };
                self.place(record, address, visit)
            }
        });
        Findings {
            name: HostPattern::Exact(name.clone()),
            a,
            aaaa,
            places: join_all(places).await,
            has_public_ca,
        }
    }

    fn place(&self, record: Record, address: IpAddr, visit: ProbeOutcome) -> CheckedAddress {
        CheckedAddress {
            record,
            address,
            reach: self.own_addresses.reach(address),
            ownership: self.own_addresses.ownership(address),
            visit,
        }
    }

    /// What DNS says, and the first addresses of each kind.
    async fn addresses(&self, name: &HostName) -> (Answer, Answer, Vec<(Record, IpAddr)>) {
        if let Some(ip) = name.ip() {
            return (
                Answer::NoRecord,
                Answer::NoRecord,
                vec![(Record::Literal, ip)],
            );
        }
        let name = name.as_str();
        let (four, six) = tokio::join!(self.resolver.ipv4(name), self.resolver.ipv6(name));
        let mut found = Vec::new();
        let mut note = |record, answer: Result<Vec<IpAddr>, ResolverError>| match answer {
            Ok(addresses) => {
                let addresses = addresses.into_iter().take(MOST_VISITED);
                found.extend(addresses.map(|address| (record, address)));
                Answer::Found
            }
            Err(ResolverError::NoSuchName(_)) => Answer::NoName,
            Err(error) if error.is_absence() => Answer::NoRecord,
            Err(error) => Answer::Failed(error.to_string()),
        };
        let (a, aaaa) = (note(Record::A, four), note(Record::Aaaa, six));
        (a, aaaa, found)
    }

    /// What CAA says (RFC 8659). The CA is asked for its names only where something restricts it, and not everybody.
    async fn permission(
        &self,
        issuer: &dyn Issuer,
        subject: &HostPattern,
        inspection: &Inspection,
    ) -> Verdict {
        let (name, is_wildcard) = match subject {
            HostPattern::Exact(name) if name.ip().is_none() => (name, false),
            HostPattern::Wildcard(base) => (base, true),
            HostPattern::Exact(_) | HostPattern::Any => return Verdict::Go,
        };
        let set = match self.resolver.caa(name.as_str()).await {
            Ok(Some(set)) => set,
            Ok(None) => return Verdict::Go,
            Err(error) => {
                let (name, error) = (name.clone(), error.to_string());
                return Verdict::Doubt(Reason::CaaLookupFailed { name, error });
            }
        };
        let anybody = Applicant {
            identities: &[],
            account: None,
            challenges: &inspection.challenges,
        };
        let mut objection = caa::objection(&set, is_wildcard, anybody);
        if objection.is_none() {
            let names = issuer.caa_names().await;
            let applicant = Applicant {
                identities: &names.identities,
                account: names.account.as_deref(),
                ..anybody
            };
            objection = caa::objection(&set, is_wildcard, applicant);
        }
        objection.map_or(Verdict::Go, |reason| Verdict::Hopeless(reason.into()))
    }
}
