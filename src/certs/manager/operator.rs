//! What an operator may ask of the certificates beside what happens by itself.

use std::sync::Arc;

use super::cert_manager::CertManager;
use super::revocation::{RevocationError, Revoker};
use super::single_flight::Outcome;
use crate::acme::RevocationReason;
use crate::certs::issuance::Purpose;
use crate::certs::issuer::RecordToSet;
use crate::certs::policy::{Issuers, Ruling};
use crate::certs::records::Records;
use crate::certs::status::{Refusal, Standing};
use crate::name::HostPattern;

/// How often a wish waits for a look-up that began before it.
const PATIENCE: usize = 3;

impl CertManager {
    /// Replaces the certificate of a name now, whether or not it is due, and waits for how that
    /// ends. It overrides our own back-off once; it does not override the CA's Retry-After, the
    /// budgets or the gate of names on demand. What is served stays until its successor is there.
    pub async fn renew_now(&self, subject: &HostPattern) -> Outcome {
        let rules = self.rules();
        let policy = match subject {
            HostPattern::Exact(name) => rules.policies.lookup(name.as_str()),
            pattern => rules.policies.get(pattern),
        };
        let policy = Arc::clone(policy.ok_or(Refusal::Unknown)?);
        let ruling = Ruling { rules, policy };
        let serial = |outcome: &Outcome| {
            let certificate = outcome.as_ref().ok();
            certificate.map(|certificate| certificate.serial().to_owned())
        };
        let former = self.obtainer().cache().get(subject);
        let former = former.map(|certificate| certificate.serial().to_owned());
        for _ in 0..PATIENCE {
            // A look-up that began before gives back what was there.
            let is_joined = self.is_in_flight(subject);
            let outcome = self.land(subject.clone(), &ruling, Purpose::Wish).await;
            let is_new = serial(&outcome).is_some_and(|serial| Some(serial) != former);
            if is_new || !is_joined {
                return outcome;
            }
        }
        self.land(subject.clone(), &ruling, Purpose::Wish).await
    }

    /// Has the certificate of a name taken back, no longer serves it, and obtains another with a new
    /// key unless the names are not used any more. Returns that other one, or why there is none.
    pub async fn revoke(
        &self,
        subject: &HostPattern,
        reason: RevocationReason,
    ) -> Result<Option<Outcome>, RevocationError> {
        let revoked = self.revoker().revoke(subject, reason).await?;
        let cache = self.obtainer().cache();
        let served = cache.get(subject);
        if served.is_some_and(|served| served.serial() == revoked.serial()) {
            cache.remove(subject);
        }
        Ok(match reason {
            RevocationReason::CessationOfOperation => None,
            _ => Some(self.renew_now(subject).await),
        })
    }

    /// Asks the issuers of all sites.
    #[must_use]
    pub fn revoker(&self) -> Revoker {
        let rules = self.rules();
        let mut known = rules.issuers.public.clone();
        known.push(Arc::clone(&rules.issuers.internal));
        for (_, policy) in rules.policies.iter() {
            let own = policy.own_issuer();
            known.extend(
                own.filter(|own| known.iter().all(|other| other.id() != own.id()))
                    .cloned(),
            );
        }
        Revoker::new(self.records().clone(), known)
    }

    /// The names that the configuration spells out.
    #[must_use]
    pub fn configured(&self) -> Vec<HostPattern> {
        let rules = self.rules();
        let policies = rules.policies.iter();
        let names = policies.filter_map(|(_, policy)| policy.managed().cloned());
        names.collect()
    }

    /// What stands between a subject and its certificate: a name as [`standing`](Self::standing)
    /// tells it, a wildcard by what is served for the pattern as a whole.
    pub async fn standing_of(&self, subject: &HostPattern) -> Standing {
        if let HostPattern::Exact(name) = subject {
            return self.standing(name).await;
        }
        self.standing_of_pattern(subject).await
    }

    /// The TXT records that the operator has to set once for a name or a pattern to be proved.
    pub async fn records_to_set(&self, wanted: &HostPattern) -> Vec<RecordToSet> {
        let rules = self.rules();
        rules.sources(self.records()).records_to_set(wanted).await
    }

    /// Who signs now.
    #[must_use]
    pub fn issuers(&self) -> Issuers {
        self.rules().issuers.clone()
    }

    /// The records that the manager keeps.
    #[must_use]
    pub fn records(&self) -> &Records {
        self.obtainer().records()
    }
}
