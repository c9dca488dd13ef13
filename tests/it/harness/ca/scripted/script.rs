//! The script of a scripted CA: its faults and its settings.

use std::fmt;
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
    /// POST that deactivates an authorization.
    Deactivate,
    /// POST that asks the CA to validate a challenge.
    Challenge,
    /// POST-as-GET of an order.
    Order,
    /// POST of a CSR.
    Finalize,
    /// POST-as-GET of a certificate.
    Certificate,
    /// GET of the renewal information (RFC 9773).
    RenewalInfo,
    /// POST-as-GET of an account. Only a fault answers it.
    Account,
    /// POST of a new key of an account. Only a fault answers it.
    KeyChange,
    /// POST of a certificate to revoke. Only a fault answers it.
    Revoke,
}

impl Step {
    /// All steps in the order of a first issuance.
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

/// A change of the body of an answer.
pub(crate) type Rewrite = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A fault of one request.
#[derive(Clone)]
pub(crate) enum Fault {
    /// The request is ignored; this is the answer.
    Answer(Reply),
    /// The request is carried out, but this is the answer.
    AnswerAfter(Reply),
    /// The request is carried out, and the body of the answer is changed.
    Rewrite(Rewrite),
    /// The connection ends before the request is carried out.
    CutBefore,
    /// The request is carried out, and the connection ends without an answer.
    CutAfter,
    /// The request is ignored, and no answer comes.
    Never,
    /// The request is carried out, and no answer comes.
    NeverAfter,
    /// The request is carried out after a delay.
    Late(Duration),
    /// The answer has an endless body of whitespace.
    Endless,
    /// The certificate is not the one that was asked for.
    Certificate(CertificateFault),
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Answer(reply) => return write!(f, "Answer({reply:?})"),
            Self::AnswerAfter(reply) => return write!(f, "AnswerAfter({reply:?})"),
            Self::Late(wait) => return write!(f, "Late({wait:?})"),
            Self::Certificate(fault) => return write!(f, "Certificate({fault:?})"),
            Self::Rewrite(_) => "Rewrite",
            Self::CutBefore => "CutBefore",
            Self::CutAfter => "CutAfter",
            Self::Never => "Never",
            Self::NeverAfter => "NeverAfter",
            Self::Endless => "Endless",
        };
        f.write_str(name)
    }
}

/// A fault of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateFault {
    /// It is for another key.
    Key,
    /// It is for other names.
    Names,
    /// It expired yesterday.
    Expired,
    /// It is not valid PEM.
    Garbage,
    /// It becomes valid in an hour.
    Early,
    /// Its chain is in the wrong order and has a stranger, a repeated certificate and text that is not UTF-8.
    Untidy,
    /// Nothing comes with it.
    Alone,
    /// The certificate above it is damaged.
    DamagedChain,
    /// A certificate comes with it whose name has an end of line and the start of another log line.
    Hostile,
}

/// How long the CA asks clients to wait between polls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// `Retry-After` in seconds.
    Seconds(u64),
    /// `Retry-After` as a date this number of seconds after the CA's `Date`, which is a day off the real time.
    Date(u64),
}

/// Behaviour of the CA; by default it is quick and has no fault.
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
    /// A CA without faults that validates challenges and whose certificates last 90 days.
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

    /// Adds a fault of the `n`-th request of a kind, counted from 1.
    pub(crate) fn fault(self, step: Step, n: usize, fault: Fault) -> Self {
        self.faults(step, n..=n, fault)
    }

    /// Adds a fault of every request of a kind.
    pub(crate) fn always(self, step: Step, fault: Fault) -> Self {
        self.faults(step, 1..=usize::MAX, fault)
    }

    fn faults(mut self, step: Step, which: RangeInclusive<usize>, fault: Fault) -> Self {
        self.faults.push((step, which, fault));
        self
    }

    /// Sets the `Retry-After` of answers about unfinished work.
    pub(crate) fn wait(mut self, wait: Wait) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Sets the number of answers that say `processing` before the order is valid, that of finalize included; with 0
    /// finalize itself says `valid`.
    pub(crate) fn polls(mut self, polls: usize) -> Self {
        self.polls = polls;
        self
    }

    /// Sets the lifetime of certificates.
    pub(crate) fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Makes the CA accept challenges without validation.
    pub(crate) fn without_validation(mut self) -> Self {
        self.is_validating = false;
        self
    }

    /// Makes a proved name stay proved, so that its next order starts ready.
    pub(crate) fn reusing_authorizations(mut self) -> Self {
        self.reuses_authorizations = true;
        self
    }

    /// Sets the names that CAA records use for the CA.
    pub(crate) fn caa_identities(mut self, names: &[&str]) -> Self {
        self.caa_identities = names.iter().map(ToString::to_string).collect();
        self
    }

    /// Makes the CA offer renewal information; its answers are 404 unless a fault replaces them.
    pub(crate) fn with_renewal_info(mut self) -> Self {
        self.has_renewal_info = true;
        self
    }

    /// Makes the CA offer dns-01 instead of http-01, also for wildcards, and ask this DNS server.
    pub(crate) fn dns01(mut self, dns: &Arc<DnsServer>) -> Self {
        self.dns = Some(Arc::clone(dns));
        self
    }

    /// Sets the profiles that the directory names.
    pub(crate) fn profiles(mut self, names: &[&str]) -> Self {
        self.profiles = names.iter().map(ToString::to_string).collect();
        self
    }

    /// Makes the CA offer these types of challenge too, and validate each in the way of its own type.
    pub(crate) fn offering(mut self, types: &[&str]) -> Self {
        self.offered = types.iter().map(ToString::to_string).collect();
        self
    }

    /// Makes the CA fetch challenges over IPv6.
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
