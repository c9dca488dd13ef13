//! The preflight check itself: looks up DNS and CAA, probes the addresses, and judges the result.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::debug;

use super::caa;
use super::caa::Applicant;
use super::machine_addresses::MachineAddresses;
use super::options::PreflightOptions;
use super::preflight_verdict::{Answer, CheckedAddress, Findings, ProbeOutcome, Verdict};
use super::probe::{Probe, Token};
use super::reachability::Reachability;
use super::reason::{Reason, Record};
use crate::acme::ChallengeType;
use crate::certs::challenge::Http01Tokens;
use crate::certs::dns::{Resolver, ResolverError};
use crate::certs::issuer::{Inspection, Issuer};
use crate::name::{HostName, HostPattern};
use crate::web_client::WebClientError;

/// Time limit for the whole check. Short, because a handshake may be waiting.
const LIMIT: Duration = Duration::from_secs(15);

/// Number of addresses of each IP version that are probed.
const MAX_PROBED: usize = 4;

/// Outcome of a check after which the order is placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clearance {
    /// The check found no problem.
    Sure,
    /// The order may fail for this reason, which is shown again if it does.
    Doubtful(Reason),
}

/// Findings about one name, each judged on its own.
#[derive(Clone, Debug)]
pub struct Examination {
    /// Addresses of the name in DNS.
    pub addresses: Vec<(Record, IpAddr)>,
    /// Judgement of its addresses; `None` if the name is a pattern.
    pub records: Option<Result<Clearance, Reason>>,
    /// Judgement of the answers at port 80; `None` if no request was sent.
    pub answers: Option<Result<Clearance, Reason>>,
    /// Judgement of the CAA records; `None` if no CA will look at them.
    pub caa: Option<Result<Clearance, Reason>>,
}

impl From<Verdict> for Result<Clearance, Reason> {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Go => Ok(Clearance::Sure),
            Verdict::Doubt(reason) => Ok(Clearance::Doubtful(reason)),
            Verdict::Hopeless(reason) => Err(reason),
        }
    }
}

/// Checks names before the CA does.
#[derive(Debug)]
pub struct Preflight {
    resolver: Arc<Resolver>,
    tokens: Arc<Http01Tokens>,
    probe: Probe,
    machine_addresses: MachineAddresses,
}

impl Preflight {
    /// Creates a check that asks `resolver` and publishes its probe tokens in `tokens`.
    pub fn new(
        options: &PreflightOptions,
        resolver: Arc<Resolver>,
        tokens: Arc<Http01Tokens>,
    ) -> Result<Self, WebClientError> {
        Ok(Self {
            resolver,
            tokens,
            probe: Probe::new(options.port)?,
            machine_addresses: MachineAddresses::new(options.trial.clone()),
        })
    }

    /// Checks whether an order for `subject` can succeed. Requests at most the directory from the CA. Returns an error if
    /// the order would certainly fail.
    pub async fn check(
        &self,
        issuer: &dyn Issuer,
        subject: &HostPattern,
    ) -> Result<Clearance, Reason> {
        let Some(inspection) = issuer.inspection(subject) else {
            return Ok(Clearance::Sure);
        };
        let inspected = timeout(LIMIT, self.inspect(issuer, subject, &inspection));
        let slow = |_| Verdict::Doubt(Reason::Slow(subject.clone()));
        let verdict = inspected.await.unwrap_or_else(slow);
        if verdict == Verdict::Go {
            debug!(names = %subject, issuer = issuer.name(), "preflight passed");
        }
        verdict.into()
    }

    /// Examines a name for people: says what is well, too. Where the CA of `issuer` does not connect to port 80, the
    /// findings about addresses are only doubts. Without an issuer no CA is asked.
    pub async fn examine(&self, issuer: Option<&dyn Issuer>, subject: &HostPattern) -> Examination {
        let inspection = issuer.and_then(|issuer| issuer.inspection(subject));
        let caa = async {
            let verdict = self
                .caa_verdict(issuer?, subject, inspection.as_ref()?)
                .await;
            Some(verdict.into())
        };
        let (findings, caa) = tokio::join!(self.look(subject, inspection.as_ref()), caa);
        let Some(findings) = findings else {
            return Examination {
                addresses: Vec::new(),
                records: None,
                answers: None,
                caa,
            };
        };
        let inspection = inspection.filter(Inspection::needs_connection);
        let by_http = |it: Inspection| it.challenges.contains(&ChallengeType::Http01);
        let answers = findings.answers_verdict().map(|verdict| match verdict {
            Verdict::Hopeless(reason) if !inspection.is_some_and(by_http) => Verdict::Doubt(reason),
            verdict => verdict,
        });
        let addresses = findings.addresses.iter();
        Examination {
            addresses: addresses.map(|it| (it.record, it.address)).collect(),
            records: Some(findings.records_verdict().into()),
            answers: answers.map(Into::into),
            caa,
        }
    }

    /// Looks up the addresses of a name, and probes them.
    async fn look(
        &self,
        subject: &HostPattern,
        inspection: Option<&Inspection>,
    ) -> Option<Findings> {
        let HostPattern::Exact(name) = subject else {
            return None;
        };
        let has_public_ca = match inspection.filter(|inspection| inspection.needs_connection()) {
            Some(inspection) => self.is_public(inspection).await,
            None => false,
        };
        Some(self.probe_name(name, true, has_public_ca).await)
    }

    async fn inspect(
        &self,
        issuer: &dyn Issuer,
        subject: &HostPattern,
        inspection: &Inspection,
    ) -> Verdict {
        let has_public_ca = self.is_public(inspection).await;
        let reachability = match subject {
            HostPattern::Exact(name) if inspection.needs_connection() => {
                let is_fetched = inspection.challenges.contains(&ChallengeType::Http01);
                let findings = self.probe_name(name, is_fetched, has_public_ca).await;
                findings.verdict()
            }
            _ => Verdict::Go,
        };
        if matches!(reachability, Verdict::Hopeless(_)) {
            return reachability;
        }
        match self.caa_verdict(issuer, subject, inspection).await {
            Verdict::Go => reachability,
            Verdict::Hopeless(reason) if !has_public_ca => Verdict::Doubt(reason),
            caa => caa,
        }
    }

    /// Whether the CA validates from the internet. A private CA may see another DNS than this machine.
    async fn is_public(&self, inspection: &Inspection) -> bool {
        if self.machine_addresses.is_trial() {
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

    async fn probe_name(&self, name: &HostName, is_fetched: bool, has_public_ca: bool) -> Findings {
        let (a, aaaa, found) = self.addresses(name).await;
        let token = Token::publish(&self.tokens).await;
        let is_probed = |address: IpAddr| {
            is_fetched
                && (!has_public_ca || self.machine_addresses.reach(address) == Reachability::Public)
        };
        let addresses = found.into_iter().map(|(record, address)| {
            let token = Some(&token).filter(|_| is_probed(address));
            async move {
                let outcome = match token {
                    Some(token) => self.probe.fetch(name, address, token).await,
                    None => ProbeOutcome::NotProbed,
                };
                CheckedAddress {
                    record,
                    address,
                    reach: self.machine_addresses.reach(address),
                    ownership: self.machine_addresses.ownership(address),
                    outcome,
                }
            }
        });
        Findings {
            name: HostPattern::Exact(name.clone()),
            a,
            aaaa,
            addresses: join_all(addresses).await,
            has_public_ca,
        }
    }

    /// Looks up the addresses of a name. Returns both answers, and the first addresses of each IP version.
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
                let addresses = addresses.into_iter().take(MAX_PROBED);
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

    /// Evaluates CAA (RFC 8659). Asks the CA for its names only if the records restrict it but do not forbid every CA.
    async fn caa_verdict(
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
