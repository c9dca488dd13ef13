//! The memory of failed attempts, in storage and in memory, and the delay before the next one.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, warn};

use super::attempt_counts::{AttemptCounts, AttemptResult};
use super::error::{Error, FailedAttempt};
use super::failure_backoff;
use super::failure_log::{Event, FailureLog, NameFailure};
use super::request::{CertRequest, Purpose};
use crate::backoff;
use crate::certs::certificate::{CertCache, Certificate};
use crate::certs::clock::{Clock, from_unix};
use crate::certs::lru_table::LruTable;
use crate::certs::policy::Policy;
use crate::certs::preflight::Reason;
use crate::certs::renewal::renew_at;
use crate::certs::status::CertificateRefusal;
use crate::certs::store::{Attempts, CertificateStore};
use crate::name::HostPattern;
use crate::storage;

/// The failure that is recorded for a certificate that is due as soon as it is issued.
pub(crate) const DUE_WHEN_ISSUED: &str =
    "it was already due for renewal when it was issued; check this machine's clock";
/// The failure that is recorded for an attempt that panicked.
pub(crate) const PANIC: &str = "the attempt panicked; the log has the details";

/// Limits how many names' failures are held in memory. The rest are in storage: no order is placed while storage fails.
const REMEMBERED: usize = 16_384;

/// The failures of all names: in storage, and the latest in memory.
#[derive(Debug)]
pub(crate) struct Failures {
    records: CertificateStore,
    cache: Arc<CertCache>,
    failing: LruTable<HostPattern, Attempts>,
    log: Arc<FailureLog>,
    attempt_counts: AttemptCounts,
    clock: Clock,
}

impl Failures {
    pub(crate) fn new(records: CertificateStore, cache: Arc<CertCache>, clock: Clock) -> Self {
        Self {
            records,
            cache,
            failing: LruTable::new(REMEMBERED),
            log: Arc::default(),
            attempt_counts: AttemptCounts::default(),
            clock,
        }
    }

    /// Returns the log of failures, which all of an attempt shares.
    pub(crate) fn log(&self) -> &Arc<FailureLog> {
        &self.log
    }

    /// Returns the counters of attempts.
    pub(in crate::certs) fn attempt_counts(&self) -> &AttemptCounts {
        &self.attempt_counts
    }

    /// Logs a failure of storage for a name.
    fn note_storage(&self, event: Event, subject: &HostPattern, reason: &storage::Error) {
        let failure = NameFailure {
            sentence: reason.to_string(),
            ..NameFailure::default()
        };
        self.log.note(event, subject, failure);
    }

    /// Refuses an attempt before its time. For [`Purpose::RenewNow`] only the wait that the CA asked for counts.
    pub(crate) async fn check(
        &self,
        subject: &HostPattern,
        purpose: Purpose,
    ) -> Result<(), CertificateRefusal> {
        let now = self.clock.now();
        let may_try = |attempts: &Attempts| match purpose {
            Purpose::RenewNow => attempts.ca_allows(now),
            _ => attempts.is_due(now),
        };
        match self.attempts(subject).await {
            Some(attempts) if !may_try(&attempts) => {
                let reason = CertificateRefusal::from(attempts);
                debug!(names = %subject, %reason, "certificate is not ordered yet");
                Err(reason)
            }
            _ => Ok(()),
        }
    }

    /// Returns the attempts since the last success, from memory or storage.
    pub(crate) async fn attempts(&self, subject: &HostPattern) -> Option<Attempts> {
        if let Some(attempts) = self.failing.get(subject) {
            return Some(attempts);
        }
        match self.records.load_attempts(subject).await {
            Ok(attempts) => attempts,
            Err(reason) => {
                self.note_storage(Event::AttemptsUnreadable, subject, &reason);
                None
            }
        }
    }

    /// Records an attempt before it is made, so that a process that is killed again and again does not order each time.
    /// Fails if storage cannot be written: a certificate could not be stored, and the next start would order it again.
    pub(crate) async fn begin(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        previous: Option<&Attempts>,
    ) -> Result<(), CertificateRefusal> {
        if !policy.is_kept() {
            return Ok(());
        }
        let attempts = previous.cloned().unwrap_or_default();
        let attempts = attempts.begun(self.clock.now());
        let written = async {
            self.records.prove_writable().await?;
            self.records.store_attempts(subject, &attempts).await
        };
        written.await.inspect_err(|reason| {
            self.note_storage(Event::NothingStored, subject, reason);
        })?;
        Ok(())
    }

    /// Counts the attempt as held back, and undoes [`begin`](Self::begin): an attempt that never reached a CA does not count
    /// as a failure.
    pub(crate) async fn undo_begin(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        previous: Option<&Attempts>,
    ) {
        self.attempt_counts.count(AttemptResult::Held);
        if !policy.is_kept() {
            return;
        }
        let written = match previous {
            Some(previous) => self.records.store_attempts(subject, previous).await,
            None => self.records.clear_attempts(subject).await,
        };
        if let Err(reason) = written {
            error!(names = %subject, error = %reason, "attempt that reached no CA cannot be removed from storage, and counts as failed");
        }
    }

    /// Forgets the failures in memory: the name has its certificate.
    pub(crate) fn forget(&self, subject: &HostPattern) {
        self.failing.remove(subject);
    }

    /// Counts an attempt that has obtained a certificate. Delays the renewal of one that is already due when it is issued,
    /// because a clock is wrong or the CA backdates it. It is not replaced before half of its remaining validity has passed:
    /// the next one would be due as well.
    pub(super) async fn delay_if_due(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        certificate: &Certificate,
    ) {
        self.attempt_counts.count(AttemptResult::Obtained);
        let now = self.clock.now();
        if renew_at(certificate) > now {
            return;
        }
        let left = certificate.not_after().duration_since(now);
        let delay = backoff::ISSUANCE.delay(1, left.ok().map(|left| left / 2));
        let reason = DUE_WHEN_ISSUED.to_owned();
        warn!(names = %subject, error = %reason, "certificate is due for renewal already");
        let attempts = Attempts::default().failed(reason, now, delay);
        self.store(subject, policy, &attempts).await;
    }

    async fn store(&self, subject: &HostPattern, policy: &Policy, attempts: &Attempts) {
        self.failing.insert(subject.clone(), attempts.clone());
        if policy.is_kept()
            && let Err(reason) = self.records.store_attempts(subject, attempts).await
        {
            self.note_storage(Event::AttemptNotStored, subject, &reason);
        }
    }

    /// Returns the time that the name's certificate is still valid, by the cache or else by the stored plans.
    async fn validity_left(&self, request: CertRequest<'_>) -> Option<Duration> {
        let mut end = self
            .cache
            .get(request.subject)
            .map(|served| served.not_after());
        if end.is_none() {
            for issuer in request.issuers() {
                let plan = self.records.load_plan(issuer.id(), request.subject).await;
                let plan = plan.ok().flatten();
                end = end.max(plan.map(|plan| from_unix(plan.not_after)));
            }
        }
        end?.duration_since(self.clock.now()).ok()
    }

    /// Records an attempt that panicked as failed, in memory only.
    pub(crate) fn record_panic(&self, subject: &HostPattern) -> CertificateRefusal {
        let previous = self.failing.get(subject).unwrap_or_default();
        let delay = backoff::ISSUANCE.delay(previous.failures + 1, None);
        let reason = PANIC.to_owned();
        let attempts = previous.failed(reason, self.clock.now(), delay);
        self.failing.insert(subject.clone(), attempts.clone());
        attempts.into()
    }

    /// Reports a failure without recording it. For labels of a local wildcard: a scanner could fill memory and disk.
    pub(super) fn report(
        &self,
        subject: &HostPattern,
        failed: &FailedAttempt,
    ) -> CertificateRefusal {
        self.attempt_counts.count(AttemptResult::Failed);
        let failure = &failed.error;
        debug!(names = %subject, error = %failure, "certificate not obtained");
        let now = self.clock.now();
        let delay = backoff::ISSUANCE.delay(1, failure.retry_after(now));
        let attempts = Attempts::default();
        let attempts = attempts.failed(failure.to_string(), now, delay);
        attempts.into()
    }

    /// Records a failure together with the doubt that preflight had before it.
    pub(super) async fn record(
        &self,
        request: CertRequest<'_>,
        failed: FailedAttempt,
    ) -> CertificateRefusal {
        self.attempt_counts.count(AttemptResult::Failed);
        let subject = request.subject;
        let failure = &failed.error;
        let sentence = with_doubt(failure, failed.doubt.as_ref());
        let previous = self.attempts(subject).await.unwrap_or_default();
        let left = self.validity_left(request).await;
        let now = self.clock.now();
        let retry_after = failure.retry_after(now);
        let delay = failure_backoff::delay(previous.failures + 1, failure, retry_after, left);
        let attempts = previous
            .failed(sentence, now, delay)
            .with_ca_wait(now, retry_after)
            .with_tried(failed.tried);
        self.store(subject, request.policy(), &attempts).await;
        let served_until = self
            .cache
            .get(subject)
            .map(|served| humantime::format_rfc3339_seconds(served.not_after()).to_string());
        // The doubt has a line of its own.
        let failure = NameFailure {
            sentence: failure.last_cause(),
            attempt: Some(attempts.failures),
            retry_in: Some(delay),
            permanent: failure.is_permanent().then_some(true),
            served_until,
            ..NameFailure::default()
        };
        self.log.note(Event::NotObtained, subject, failure);
        attempts.into()
    }
}

/// Returns the failure in one sentence, followed by the doubt that preflight had.
pub(crate) fn with_doubt(failure: &Error, doubt: Option<&Reason>) -> String {
    let sentence = failure.to_string();
    match doubt.map(Reason::to_string) {
        Some(doubt) if !sentence.contains(&doubt) => {
            format!("{sentence}; seen from here: {doubt}")
        }
        _ => sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileStorage;

    #[tokio::test]
    async fn failures_of_many_names_take_limited_memory() {
        let dir = tempfile::tempdir().unwrap();
        let records = CertificateStore::new(Arc::new(FileStorage::open(dir.path()).unwrap()));
        let failures = Failures::new(records, Arc::new(CertCache::new(1)), Clock::system());
        let name = |n| HostPattern::parse(&format!("n{n}.example.org")).unwrap();

        for n in 0..=REMEMBERED {
            failures.record_panic(&name(n));
        }

        assert_eq!(failures.failing.len(), REMEMBERED);
        assert!(failures.attempts(&name(REMEMBERED)).await.is_some());
    }
}
