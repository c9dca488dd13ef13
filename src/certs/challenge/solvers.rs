//! Which ways to prove a name there are, and which of them fit it.

use std::fmt;
use std::sync::Arc;

use super::dns01::{Dns01Solver, PersistSolver};
use crate::acme::{ChallengeType, Solver};
use crate::name::{HostPattern, NameMap};

/// A site's own way to prove its names in DNS.
#[derive(Clone, Debug)]
pub enum SiteDns {
    /// By a record for each order.
    Records(Dns01Solver),
    /// By the record that the operator sets once.
    Standing,
}

impl SiteDns {
    fn solver(&self, subject: &HostPattern) -> Arc<dyn Solver> {
        match self {
            Self::Records(solver) => Arc::new(solver.for_certificate(subject)),
            Self::Standing => Arc::new(PersistSolver),
        }
    }
}

/// The solvers of one CA, the most trusted first.
#[derive(Clone, Default)]
pub struct Solvers {
    solvers: Vec<Arc<dyn Solver>>,
    /// Which types may be used, in order; all of them where none is named.
    allowed: Vec<ChallengeType>,
    dns: NameMap<Option<SiteDns>>,
}

impl Solvers {
    /// Solvers that are tried in this order.
    #[must_use]
    pub fn new(solvers: Vec<Arc<dyn Solver>>) -> Self {
        Self {
            solvers,
            allowed: Vec::new(),
            dns: NameMap::new(),
        }
    }

    /// The same with only these types of challenge, in this order; with all of them where none is named.
    #[must_use]
    pub fn restricted_to(mut self, allowed: &[ChallengeType]) -> Self {
        self.allowed = allowed.to_vec();
        self
    }

    /// The same with each site's own way to prove its names in DNS, which is tried before the others.
    #[must_use]
    pub fn with_dns(mut self, dns: NameMap<Option<SiteDns>>) -> Self {
        self.dns = dns;
        self
    }

    /// Those that can prove `subject`, in the order in which they are tried. A wildcard is proved in DNS
    /// alone (RFC 8555 section 8.4), an address never is (RFC 8738 section 7).
    #[must_use]
    pub fn for_subject(&self, subject: &HostPattern) -> Vec<Arc<dyn Solver>> {
        let is_in_dns = |kind| matches!(kind, ChallengeType::Dns01 | ChallengeType::DnsPersist01);
        let fits = |kind: ChallengeType| match subject {
            HostPattern::Exact(name) => name.ip().is_none() || !is_in_dns(kind),
            HostPattern::Wildcard(_) => is_in_dns(kind),
            HostPattern::Any => false,
        };
        let own = self.own(subject).map(|own| own.solver(subject));
        let solvers = own.into_iter().chain(self.solvers.iter().cloned());
        let fitting = solvers.filter(|solver| fits(solver.challenge_type()));
        if self.allowed.is_empty() {
            return fitting.collect();
        }
        let rank = |solver: &Arc<dyn Solver>| {
            let kind = solver.challenge_type();
            self.allowed.iter().position(|allowed| *allowed == kind)
        };
        let mut ranked: Vec<_> = fitting
            .filter_map(|solver| Some((rank(&solver)?, solver)))
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, solver)| solver).collect()
    }

    /// Takes down what a process that was killed has left up for `subject`. What answers for the other types ends with its
    /// process. The caller holds the lock of the name's issuance.
    pub async fn remove_stale_challenges(&self, subject: &HostPattern) {
        if let Some(SiteDns::Records(solver)) = self.own(subject) {
            solver.remove_stale_challenges(subject).await;
        }
    }

    /// The site's own way to prove `subject` in DNS.
    fn own(&self, subject: &HostPattern) -> Option<&SiteDns> {
        let own = match subject {
            HostPattern::Exact(name) => self.dns.lookup(name.as_str()),
            pattern => self.dns.get(pattern),
        };
        own.and_then(Option::as_ref)
    }
}

impl fmt::Debug for Solvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = self.solvers.iter().map(|solver| solver.challenge_type());
        f.debug_list().entries(types).finish()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::acme::{Identifier, KeyAuthorization, Presented, SolverError};

    struct Of(ChallengeType);

    impl Solver for Of {
        fn challenge_type(&self) -> ChallengeType {
            self.0.clone()
        }

        fn present<'a>(
            &'a self,
            _: &'a Identifier,
            _: &'a str,
            _: &'a KeyAuthorization,
        ) -> BoxFuture<'a, Result<Presented, SolverError>> {
            async { Err(SolverError::new("not in this test")) }.boxed()
        }
    }

    #[test]
    fn a_wildcard_is_proved_in_dns_alone_and_an_address_never_there() {
        use ChallengeType::{Dns01, Http01, TlsAlpn01};
        let of = |kind| -> Arc<dyn Solver> { Arc::new(Of(kind)) };
        let all = Solvers::new(vec![of(Http01), of(TlsAlpn01), of(Dns01)]);
        for (subject, expected) in [
            ("www.example.org", &[Http01, TlsAlpn01, Dns01][..]),
            ("192.0.2.1", &[Http01, TlsAlpn01]),
            ("*.example.org", &[Dns01]),
            ("*", &[]),
        ] {
            let subject = HostPattern::parse(subject).unwrap();
            let solvers = all.for_subject(&subject);
            let types: Vec<_> = solvers.iter().map(|it| it.challenge_type()).collect();
            assert_eq!(types, expected, "{subject}");
        }
    }

    #[test]
    fn an_issuer_uses_the_challenges_that_it_may_in_the_order_that_it_names() {
        use ChallengeType::{Dns01, Http01, TlsAlpn01};
        let of = |kind| -> Arc<dyn Solver> { Arc::new(Of(kind)) };
        let all = Solvers::new(vec![of(Http01), of(TlsAlpn01), of(Dns01)]);
        let subject = HostPattern::parse("www.example.org").unwrap();
        for (allowed, expected) in [
            (&[][..], &[Http01, TlsAlpn01, Dns01][..]),
            (&[TlsAlpn01, Http01], &[TlsAlpn01, Http01]),
            (&[Dns01], &[Dns01]),
        ] {
            let solvers = all.clone().restricted_to(allowed).for_subject(&subject);
            let types: Vec<_> = solvers.iter().map(|it| it.challenge_type()).collect();
            assert_eq!(types, expected, "{allowed:?}");
        }
    }

    #[test]
    fn a_site_with_its_own_way_in_dns_takes_it_first_and_no_other_site_does() {
        use ChallengeType::{DnsPersist01, Http01};
        let of = |kind| -> Arc<dyn Solver> { Arc::new(Of(kind)) };
        let mut dns = NameMap::new();
        for (site, solver) in [
            ("*.example.org", Some(SiteDns::Standing)),
            ("plain.example.org", None),
        ] {
            dns.insert(HostPattern::parse(site).unwrap(), solver);
        }
        let all = Solvers::new(vec![of(Http01)]).with_dns(dns);
        for (subject, expected) in [
            ("*.example.org", &[DnsPersist01][..]),
            ("a.example.org", &[DnsPersist01, Http01]),
            ("plain.example.org", &[Http01]),
            ("*.example.net", &[]),
        ] {
            let subject = HostPattern::parse(subject).unwrap();
            let solvers = all.for_subject(&subject);
            let types: Vec<_> = solvers.iter().map(|it| it.challenge_type()).collect();
            assert_eq!(types, expected, "{subject}");
        }
    }
}
