//! The task of one flight: gets the certificate, tells those who wait, and sets the next time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::cert_manager::CertManager;
use super::single_flight::{Outcome, Progress};
use crate::certs::certificate::Certificate;
use crate::certs::issuance::{Purpose, Wanted};
use crate::certs::maintenance::{Due, Note};
use crate::certs::policy::Ruling;
use crate::certs::renewal::renew_at;
use crate::name::HostPattern;

/// Takes the name out of the table of flights however its task ends.
pub(crate) struct Attempt {
    manager: CertManager,
    subject: HostPattern,
    ruling: Ruling,
    purpose: Purpose,
    stored: Option<Arc<Certificate>>,
    is_over: bool,
}

impl Attempt {
    pub(crate) fn new(
        manager: CertManager,
        subject: HostPattern,
        ruling: Ruling,
        purpose: Purpose,
    ) -> Self {
        Self {
            manager,
            subject,
            ruling,
            purpose,
            stored: None,
            is_over: false,
        }
    }

    pub(crate) async fn run(mut self, sender: watch::Sender<Progress>) {
        let purpose = self.purpose;
        let wanted = Wanted {
            subject: &self.subject,
            ruling: &self.ruling,
            purpose,
        };
        let obtainer = self.manager.obtainer();
        if !matches!(purpose, Purpose::Serve(_))
            && let Some(stored) = obtainer.stored(wanted).await
        {
            self.stored = Some(Arc::clone(&stored));
            sender.send_replace(Progress::Stored(stored));
        }
        let known = self.stored.clone();
        let outcome = obtainer.obtain(wanted, known).await;
        self.reschedule(&outcome);
        let is_former = !Arc::ptr_eq(&self.ruling.rules, &self.manager.rules());
        if is_former && self.manager.ruling(&self.subject).is_none() {
            let subject = &self.subject;
            obtainer.cache().retain(|pattern| pattern != subject);
        }
        self.is_over = true;
        // A renewal that failed takes nothing away from those who wait for what is stored.
        let stored = self.stored.take();
        let outcome = match purpose {
            // The operator hears of it.
            Purpose::Wish => outcome,
            _ => outcome.or_else(|refusal| stored.ok_or(refusal)),
        };
        // Those who come after the flight has left the table find the certificate in the cache.
        drop(self);
        sender.send_replace(Progress::Landed(outcome));
    }

    /// Sets the next time that the name needs attention, if it has a certificate or should have one.
    fn reschedule(&self, outcome: &Outcome) {
        let is_served = || self.manager.obtainer().cache().get(&self.subject).is_some();
        let has_certificate = outcome.is_ok() || self.stored.is_some() || is_served();
        if self.ruling.policy.managed().is_none() && !has_certificate {
            return;
        }
        let Some(due) = self.next_look(outcome) else {
            return;
        };
        // What a handshake finds in storage has its time already, which need not be sooner.
        let note = match (self.purpose, outcome) {
            (Purpose::Serve(_), Ok(_)) => Note::Known(due),
            _ => Note::Set(due),
        };
        self.manager.note(note);
    }

    /// The next time that a name needs attention.
    fn next_look(&self, outcome: &Outcome) -> Option<Due> {
        let now = self.manager.clock().now();
        let mut purpose = Purpose::Renew;
        let at = match outcome {
            Ok(certificate) => {
                let renewal = renew_at(certificate);
                let question = certificate.next_question().filter(|at| *at < renewal);
                if question.is_some() {
                    purpose = Purpose::Ask;
                }
                // Never at once again: what was due and could not be replaced is not asked for in
                // a loop.
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
        if !self.is_over {
            // A panic: it counts as a failed attempt, and the name is seen to again.
            let refusal = self
                .manager
                .obtainer()
                .failures()
                .remember_panic(&self.subject);
            self.reschedule(&Err(refusal));
        }
        self.manager.has_landed(&self.subject);
    }
}
