//! The challenge solvers of one CA, and the choice of those that can prove a name.

use std::fmt;
use std::sync::Arc;

use super::dns01::{Dns01Solver, PersistSolver};
use crate::acme::{ChallengeType, Solver};
use crate::name::{HostPattern, NameMap};

/// DNS challenge that one site has configured for its names.
#[derive(Clone, Debug)]
pub enum SiteDns {
    /// dns-01: a new record for each order.
    Records(Dns01Solver),
    /// dns-persist-01: the record that the operator sets once.
    Persistent,
}

impl SiteDns {
    fn solver(&self, subject: &HostPattern) -> Arc<dyn Solver> {
        match self {
            Self::Records(solver) => Arc::new(solver.for_certificate(subject)),
            Self::Persistent => Arc::new(PersistSolver),
        }
    }
}

/// Solvers of one CA, in order of preference.
#[derive(Clone, Default)]
pub struct Solvers {
    solvers: Vec<Arc<dyn Solver>>,
    /// Types that may be used, in order of preference; all types if empty.
    allowed: Vec<ChallengeType>,
    dns: NameMap<Option<SiteDns>>,
}

impl Solvers {
    /// Creates solvers that are tried in this order.
    #[must_use]
    pub fn new(solvers: Vec<Arc<dyn Solver>>) -> Self {
        Self {
            solvers,
            allowed: Vec::new(),
            dns: NameMap::new(),
        }
    }

    /// Restricts the solvers to these challenge types and tries them in this order. An empty list allows all types.
    #[must_use]
    pub fn restricted_to(mut self, allowed: &[ChallengeType]) -> Self {
        self.allowed = allowed.to_vec();
        self
    }

    /// Adds the DNS challenge of each site, which is tried before the other solvers.
    #[must_use]
    pub fn with_dns(mut self, dns: NameMap<Option<SiteDns>>) -> Self {
        self.dns = dns;
        self
    }

    /// Returns the solvers that can prove `subject`, in the order in which they are tried. Only a DNS challenge proves a
    /// wildcard (RFC 8555 section 8.4), and none proves an IP address (RFC 8738 section 7).
    #[must_use]
    pub fn for_subject(&self, subject: &HostPattern) -> Vec<Arc<dyn Solver>> {
        let is_dns = |kind| matches!(kind, ChallengeType::Dns01 | ChallengeType::DnsPersist01);
        let fits = |kind: ChallengeType| match subject {
            HostPattern::Exact(name) => name.ip().is_none() || !is_dns(kind),
            HostPattern::Wildcard(_) => is_dns(kind),
            HostPattern::Any => false,
        };
        let site_dns = self.site_dns(subject).map(|site| site.solver(subject));
        let solvers = site_dns.into_iter().chain(self.solvers.iter().cloned());
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

    /// Removes the DNS records that a killed process left behind for `subject`. Other challenges leave nothing behind. The
    /// caller holds the issuance lock of `subject`.
    pub async fn remove_stale_challenges(&self, subject: &HostPattern) {
        if let Some(SiteDns::Records(solver)) = self.site_dns(subject) {
            solver.remove_stale_challenges(subject).await;
        }
    }

    fn site_dns(&self, subject: &HostPattern) -> Option<&SiteDns> {
        let site = match subject {
            HostPattern::Exact(name) => self.dns.lookup(name.as_str()),
            pattern => self.dns.get(pattern),
        };
        site.and_then(Option::as_ref)
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

    struct FakeSolver(ChallengeType);

    impl Solver for FakeSolver {
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
    fn only_dns_proves_a_wildcard_and_dns_never_proves_an_address() {
        use ChallengeType::{Dns01, Http01, TlsAlpn01};
        let of = |kind| -> Arc<dyn Solver> { Arc::new(FakeSolver(kind)) };
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
    fn an_issuer_uses_only_its_allowed_challenges_in_their_order() {
        use ChallengeType::{Dns01, Http01, TlsAlpn01};
        let of = |kind| -> Arc<dyn Solver> { Arc::new(FakeSolver(kind)) };
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
    fn the_dns_challenge_of_a_site_comes_first_and_serves_no_other_site() {
        use ChallengeType::{DnsPersist01, Http01};
        let of = |kind| -> Arc<dyn Solver> { Arc::new(FakeSolver(kind)) };
        let mut dns = NameMap::new();
        for (site, solver) in [
            ("*.example.org", Some(SiteDns::Persistent)),
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
