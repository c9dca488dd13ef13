//! Orders whose certificates are thrown away, to find out whether real ones would succeed.

use std::sync::Arc;

use super::failover::Failover;
use super::failure_log::FailureLog;
use super::failures::with_doubt;
use super::renewal_plans::RenewalPlans;
use super::request::{CertRequest, Purpose};
use crate::certs::budget::Budgets;
use crate::certs::clock::Clock;
use crate::certs::policy::{AppliedPolicy, Ruleset};
use crate::certs::store::CertificateStore;
use crate::name::HostPattern;
use crate::storage::MemoryStorage;

/// Places orders at the issuers of one ruleset, which should be staging CAs with a temporary storage.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    ruleset: Arc<Ruleset>,
}

impl Rehearsal {
    /// Rehearses with these rules. Sends nothing yet.
    #[must_use]
    pub fn new(ruleset: Ruleset) -> Self {
        let ruleset = Arc::new(ruleset);
        Self { ruleset }
    }

    /// Returns the subject of the certificate that serves a name or pattern. `None` if no site covers it.
    #[must_use]
    pub fn subject_of(&self, name: &HostPattern) -> Option<HostPattern> {
        Some(self.applied(name)?.policy.subject_of(name))
    }

    /// Orders a certificate for a subject as a first order would be: with the ask endpoint, preflight, and one issuer after
    /// the other. Returns the name of the issuer that has signed, or why none has. Each order has budgets of its own.
    pub async fn order(&self, subject: &HostPattern) -> Result<String, String> {
        let applied = self.applied(subject);
        let applied = applied.ok_or_else(|| "no site is configured for it".to_owned())?;
        let request = CertRequest::new(subject, &applied, Purpose::Renew);
        let allowed = request.allowed().await;
        allowed.map_err(|refusal| refusal.to_string())?;
        let records = CertificateStore::new(Arc::new(MemoryStorage::default()));
        let budgets = Budgets::new(Arc::clone(records.storage()));
        let clock = Clock::system();
        let plans = Arc::new(RenewalPlans::new(records, clock));
        let failover = Failover::new(budgets, plans, Arc::new(FailureLog::default()), clock);
        match failover.run(request).await {
            Ok(issued) => {
                issued.issuer.forget_order(subject).await;
                Ok(issued.issuer.name().to_owned())
            }
            Err(failed) => Err(with_doubt(&failed.error, failed.doubt.as_ref())),
        }
    }

    fn applied(&self, name: &HostPattern) -> Option<AppliedPolicy> {
        let policy = match name {
            HostPattern::Exact(exact) => self.ruleset.policies.lookup(exact.as_str()),
            pattern => self.ruleset.policies.get(pattern),
        };
        Some(AppliedPolicy {
            ruleset: Arc::clone(&self.ruleset),
            policy: Arc::clone(policy?),
        })
    }
}
