//! One attempt to get a certificate: it obtains the certificate, tells those who wait, and schedules the next attempt.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::reminder::{Due, Reminder};
use super::single_flight::Leader;
use super::state::{ManagerState, Outcome};
use crate::certs::certificate::Certificate;
use crate::certs::issuance::{CertRequest, Purpose};
use crate::certs::policy::AppliedPolicy;
use crate::certs::renewal::renew_at;
use crate::certs::status::CertificateRefusal;
use crate::name::HostPattern;

/// Time after which handshakes get an expired certificate while a new one is being obtained.
const PATIENCE: Duration = Duration::from_secs(5);

/// The task that leads one flight.
pub(super) struct Attempt {
    pub(super) state: Arc<ManagerState>,
    pub(super) leader: Leader<HostPattern, Outcome>,
    pub(super) subject: HostPattern,
    pub(super) policy: AppliedPolicy,
    pub(super) purpose: Purpose,
    pub(super) stored: Option<Arc<Certificate>>,
    pub(super) is_finished: bool,
}

impl Attempt {
    pub(super) async fn run(mut self) {
        let purpose = self.purpose;
        let request = CertRequest::new(&self.subject, &self.policy, purpose);
        let obtainer = &self.state.obtainer;
        if !matches!(purpose, Purpose::Serve(_))
            && let Some(stored) = obtainer.stored(request).await
        {
            self.leader.publish(Ok(Arc::clone(&stored)));
            self.stored = Some(stored);
        }
        let mut obtaining = Box::pin(obtainer.obtain(request, self.stored.clone()));
        let outcome = match timeout(PATIENCE, &mut obtaining).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // Handshakes do not wait for a slow CA if there is an expired certificate.
                if self.stored.is_none() {
                    let refusal = CertificateRefusal::StillOrdering;
                    self.stored = obtainer.serve_expired(request, &refusal).await;
                    if let Some(expired) = &self.stored {
                        self.leader.publish(Ok(Arc::clone(expired)));
                    }
                }
                obtaining.await
            }
        };
        if let Err(refusal) = &outcome
            && self.stored.is_none()
            && refusal.leaves_expired()
        {
            self.stored = obtainer.serve_expired(request, refusal).await;
        }
        self.reschedule(&outcome);
        let has_changed = !Arc::ptr_eq(&self.policy.ruleset, &self.state.ruleset());
        if has_changed && self.state.policy(&self.subject).is_none() {
            let subject = &self.subject;
            self.state.cache().retain(|pattern| pattern != subject);
        }
        self.is_finished = true;
        // After a failed renewal, handshakes that wait get the stored certificate. Only an operator gets the error.
        let outcome = match purpose {
            Purpose::RenewNow => outcome,
            _ => outcome.or_else(|refusal| self.stored.take().ok_or(refusal)),
        };
        // Handshakes that come after this line find the certificate in the cache.
        self.leader.finish(outcome);
    }

    /// Schedules the next attempt, if the name has a certificate or should have one.
    fn reschedule(&self, outcome: &Outcome) {
        let is_served = || self.state.cache().get(&self.subject).is_some();
        let has_certificate = outcome.is_ok() || self.stored.is_some() || is_served();
        if self.policy.policy.managed().is_none() && !has_certificate {
            return;
        }
        let Some(due) = self.next_due(outcome) else {
            return;
        };
        // A certificate that a handshake finds in storage may already be scheduled. That time stays.
        let reminder = match (self.purpose, outcome) {
            (Purpose::Serve(_), Ok(_)) => Reminder::SetIfAbsent(due),
            _ => Reminder::Set(due),
        };
        self.state.remind(reminder);
    }

    /// Returns the time and purpose of the next attempt; `None` when the process stops.
    fn next_due(&self, outcome: &Outcome) -> Option<Due> {
        let now = self.state.clock.now();
        let mut purpose = Purpose::Renew;
        let at = match outcome {
            Ok(certificate) => {
                let renewal = renew_at(certificate);
                let question = certificate.next_question().filter(|at| *at < renewal);
                if question.is_some() {
                    purpose = Purpose::CheckAri;
                }
                // Never at once: a certificate that is due and could not be replaced would be ordered in a loop.
                question
                    .unwrap_or(renewal)
                    .max(now + Duration::from_secs(1))
            }
            Err(refusal) => now + refusal.retry_in(now)?,
        };
        let subject = self.subject.clone();
        Some(Due {
            subject,
            at,
            purpose,
        })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.is_finished {
            // The attempt panicked. It counts as failed, and the name is scheduled again.
            let failures = self.state.obtainer.failures();
            let refusal = failures.record_panic(&self.subject);
            self.reschedule(&Err(refusal));
        }
    }
}
