//! What a scripted CA does out of the ordinary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::reply::Reply;
use crate::harness::dns::server::DnsServer;

/// The kinds of request that are counted and can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    /// GET of the directory.
    Directory,
    /// HEAD for a nonce.
    NewNonce,
    /// POST of a new or known account.
    NewAccount,
    /// POST of an order.
    NewOrder,
    /// POST-as-GET of an authorization.
    Authorization,
    /// POST that gives an authorization up.
    Deactivate,
    /// POST that tells the CA to look at a challenge.
    Challenge,
    /// POST-as-GET of an order.
    Order,
    /// POST of a CSR.
    Finalize,
    /// POST-as-GET of a certificate.
    Certificate,
    /// GET of what the CA says about a renewal.
    RenewalInfo,
}

impl Step {
    /// All of them, in the sequence of a first issuance.
    pub(crate) const ALL: [Self; 10] = [
        Self::Directory,
        Self::NewNonce,
        Self::NewAccount,
        Self::NewOrder,
        Self::Authorization,
        Self::Challenge,
        Self::Finalize,
        Self::Order,
        Self::Certificate,
        Self::Deactivate,
    ];
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The request is not looked at; this is the answer.
    Answer(Reply),
    /// The request is worked on; this is the answer all the same.
    AnswerAfter(Reply),
    /// The connection ends before the request is worked on.
    CutBefore,
    /// The request is worked on and the connection ends without an answer.
    CutAfter,
    /// The request is not looked at and the answer never comes.
    Never,
    /// The request is worked on and the answer never comes.
    NeverAfter,
    /// The request is worked on, after a while.
    Late(Duration),
    /// A body without end, of whitespace.
    Endless,
    /// The certificate is not the one that was asked for.
    Certificate(CertificateFault),
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateFault {
    /// It is for another key.
    Key,
    /// It is for other names.
    Names,
    /// It ended yesterday.
    Expired,
    /// It is no PEM.
    Garbage,
}

/// What the CA asks of those who poll.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// `Retry-After` in seconds.
    Seconds(u64),
    /// `Retry-After` as a date so many seconds after the CA's `Date`, which is a day off the real one.
    Date(u64),
}

/// How the CA behaves; by default it is quick and without a fault.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(super) faults: Vec<(Step, RangeInclusive<usize>, Fault)>,
    pub(super) wait: Option<Wait>,
    pub(super) polls: usize,
    pub(super) lifetime: Duration,
    pub(super) is_validating: bool,
    pub(super) reuses_authorizations: bool,
    pub(super) caa_identities: Vec<String>,
    pub(super) has_renewal_info: bool,
    pub(super) dns: Option<Arc<DnsServer>>,
    pub(super) profiles: Vec<String>,
    pub(super) offered: Vec<String>,
    pub(super) validator: IpAddr,
}

impl Script {
    /// A CA without a fault: it fetches challenges, and its certificates last 90 days.
    pub(crate) fn new() -> Self {
        Self {
            faults: Vec::new(),
            wait: None,
            polls: 1,
            lifetime: Duration::from_secs(90 * 24 * 3600),
            is_validating: true,
            reuses_authorizations: false,
            caa_identities: Vec::new(),
            has_renewal_info: false,
            dns: None,
            profiles: Vec::new(),
            offered: Vec::new(),
            validator: Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Something goes wrong with the `n`-th request of a kind, counted from 1.
    pub(crate) fn fault(self, step: Step, n: usize, fault: Fault) -> Self {
        self.faults(step, n..=n, fault)
    }

    /// Something goes wrong with every request of a kind.
    pub(crate) fn always(self, step: Step, fault: Fault) -> Self {
        self.faults(step, 1..=usize::MAX, fault)
    }

    fn faults(mut self, step: Step, which: RangeInclusive<usize>, fault: Fault) -> Self {
        self.faults.push((step, which, fault));
        self
    }

    /// What the answers about unfinished work ask of the client.
    pub(crate) fn wait(mut self, wait: Wait) -> Self {
        self.wait = Some(wait);
        self
    }

    /// How many answers say `processing` before the order is valid, that of finalize included; 0 makes finalize itself say
    /// `valid`.
    pub(crate) fn polls(mut self, polls: usize) -> Self {
        self.polls = polls;
        self
    }

    /// How long certificates last.
    pub(crate) fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Challenges are believed without a look.
    pub(crate) fn without_validation(mut self) -> Self {
        self.is_validating = false;
        self
    }

    /// A name that was proved once stays proved, so that its next order starts ready.
    pub(crate) fn reusing_authorizations(mut self) -> Self {
        self.reuses_authorizations = true;
        self
    }

    /// What CAA records call the CA.
    pub(crate) fn caa_identities(mut self, names: &[&str]) -> Self {
        self.caa_identities = names.iter().map(ToString::to_string).collect();
        self
    }

    /// The CA says when to renew; answers that no fault replaces are 404.
    pub(crate) fn with_renewal_info(mut self) -> Self {
        self.has_renewal_info = true;
        self
    }

    /// The CA offers dns-01 instead of http-01, also for wildcards, and looks at this server.
    pub(crate) fn dns01(mut self, dns: &Arc<DnsServer>) -> Self {
        self.dns = Some(Arc::clone(dns));
        self
    }

    /// The profiles that the directory names.
    pub(crate) fn profiles(mut self, names: &[&str]) -> Self {
        self.profiles = names.iter().map(ToString::to_string).collect();
        self
    }

    /// The CA offers these types of challenge too. It looks at each as it does at its own.
    pub(crate) fn offering(mut self, types: &[&str]) -> Self {
        self.offered = types.iter().map(ToString::to_string).collect();
        self
    }

    /// Challenges are fetched over IPv6.
    pub(crate) fn over_ipv6(mut self) -> Self {
        self.validator = Ipv6Addr::LOCALHOST.into();
        self
    }

    pub(super) fn fault_of(&self, step: Step, n: usize) -> Option<&Fault> {
        self.faults
            .iter()
            .find(|(at, which, _)| *at == step && which.contains(&n))
            .map(|(_, _, fault)| fault)
    }
}
