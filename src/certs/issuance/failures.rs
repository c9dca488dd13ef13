//! What is remembered of attempts that gave no certificate, and how long a name waits after them.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, warn};

use super::error::{Error, Unsigned};
use super::failure_backoff;
use super::request::{CertRequest, Purpose};
use crate::backoff;
use crate::certs::certificate::{CertCache, Certificate};
use crate::certs::clock::{Clock, from_unix};
use crate::certs::lru_table::LruTable;
use crate::certs::policy::Policy;
use crate::certs::preflight::Reason;
use crate::certs::records::{Attempts, Records};
use crate::certs::renewal::renew_at;
use crate::certs::status::Refusal;
use crate::name::HostPattern;

/// What is said of a certificate that is to be replaced as soon as it is there.
pub(crate) const DUE_ON_ARRIVAL: &str =
    "it was due for renewal when it came; check this machine's clock";
/// What is said of an attempt that a mistake in the program ended.
pub(crate) const PANIC: &str = "the attempt ended in a panic, which the log shows";

/// How many names' failures are in memory. Those that leave are in storage: where nothing can be written nobody is asked.
const REMEMBERED: usize = 16_384;

/// The failures of all names: in storage, and the latest in memory.
#[derive(Debug)]
pub(crate) struct Failures {
    records: Records,
    cache: Arc<CertCache>,
    failing: LruTable<HostPattern, Attempts>,
    clock: Clock,
}

impl Failures {
    pub(crate) fn new(records: Records, cache: Arc<CertCache>, clock: Clock) -> Self {
        Self {
            records,
            cache,
            failing: LruTable::new(REMEMBERED),
            clock,
        }
    }

    pub(crate) async fn check(
        &self,
        subject: &HostPattern,
        purpose: Purpose,
    ) -> Result<(), Refusal> {
        let now = self.clock.now();
        let may_try = |attempts: &Attempts| match purpose {
            Purpose::RenewNow => attempts.is_welcome(now),
            _ => attempts.is_due(now),
        };
        match self.attempts(subject).await {
            Some(attempts) if !may_try(&attempts) => {
                let reason = Refusal::from(attempts);
                debug!(names = %subject, %reason, "certificate is not ordered yet");
                Err(reason)
            }
            _ => Ok(()),
        }
    }

    /// What is remembered of attempts without a certificate, in memory or in storage.
    pub(crate) async fn attempts(&self, subject: &HostPattern) -> Option<Attempts> {
        if let Some(attempts) = self.failing.get(subject) {
            return Some(attempts);
        }
        match self.records.load_attempts(subject).await {
            Ok(attempts) => attempts,
            Err(reason) => {
                error!(names = %subject, error = %reason, "failed attempts cannot be read");
                None
            }
        }
    }

    /// Counts the attempt before it is made, so that a process that is killed over and over does
    /// not order each time. Fails when nothing can be written: what the CA signs could not be kept.
    pub(crate) async fn begin(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        former: Option<&Attempts>,
    ) -> Result<(), Refusal> {
        if !policy.is_kept() {
            return Ok(());
        }
        let attempts = former.cloned().unwrap_or_default();
        let attempts = attempts.begun(self.clock.now());
        let written = self.records.store_attempts(subject, &attempts).await;
        written.inspect_err(|reason| {
            error!(names = %subject, error = %reason, "no certificate is ordered: nothing can be stored");
        })?;
        Ok(())
    }

    /// An attempt in which no CA was asked was none.
    pub(crate) async fn take_back(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        former: Option<&Attempts>,
    ) {
        if !policy.is_kept() {
            return;
        }
        let written = match former {
            Some(former) => self.records.store_attempts(subject, former).await,
            None => self.records.clear_attempts(subject).await,
        };
        if let Err(reason) = written {
            error!(names = %subject, error = %reason, "an attempt that was not made counts as failed");
        }
    }

    /// The name has its certificate.
    pub(crate) fn forget(&self, subject: &HostPattern) {
        self.failing.remove(subject);
    }

    /// A certificate that is due when it comes, because a clock is wrong or the CA dates it back,
    /// is not replaced before half of what is left of it: its successor would be due as well.
    pub(super) async fn hold_if_due(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        certificate: &Certificate,
    ) {
        let now = self.clock.now();
        if renew_at(certificate) > now {
            return;
        }
        let left = certificate.not_after().duration_since(now);
        let delay = backoff::ISSUANCE.delay(1, left.ok().map(|left| left / 2));
        let reason = DUE_ON_ARRIVAL.to_owned();
        warn!(names = %subject, error = %reason, "certificate is short of time");
        let attempts = Attempts::default().failed(reason, now, delay);
        self.failing.insert(subject.clone(), attempts.clone());
        if policy.is_kept()
            && let Err(reason) = self.records.store_attempts(subject, &attempts).await
        {
            error!(names = %subject, error = %reason, "failed attempt is remembered in memory only");
        }
    }

    /// How long the certificate of a name is still valid, whether it is in memory or not.
    async fn left(&self, request: CertRequest<'_>) -> Option<Duration> {
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

    /// An attempt that ended in a panic counts as failed, in memory.
    pub(crate) fn remember_panic(&self, subject: &HostPattern) -> Refusal {
        let former = self.failing.get(subject).unwrap_or_default();
        let delay = backoff::ISSUANCE.delay(former.failures + 1, None);
        let reason = PANIC.to_owned();
        let attempts = former.failed(reason, self.clock.now(), delay);
        self.failing.insert(subject.clone(), attempts.clone());
        attempts.into()
    }

    /// A failure for a name that nobody configured one by one is told and not remembered: a scanner
    /// could fill memory and disk with them.
    pub(super) fn pass_over(&self, subject: &HostPattern, unsigned: &Unsigned) -> Refusal {
        let failure = &unsigned.error;
        debug!(names = %subject, error = %failure, "certificate not obtained");
        let now = self.clock.now();
        let delay = backoff::ISSUANCE.delay(1, failure.retry_after(now));
        let attempts = Attempts::default();
        let attempts = attempts.failed(failure.to_string(), now, delay);
        attempts.into()
    }

    /// Remembers a failure, and what was doubted before it.
    pub(super) async fn remember(&self, request: CertRequest<'_>, unsigned: Unsigned) -> Refusal {
        let subject = request.subject;
        let failure = &unsigned.error;
        let sentence = told(failure, unsigned.doubt.as_ref());
        let former = self.attempts(subject).await.unwrap_or_default();
        let left = self.left(request).await;
        let now = self.clock.now();
        let asked = failure.retry_after(now);
        let delay = failure_backoff::delay(former.failures + 1, failure, asked, left);
        let attempts = former
            .failed(sentence.clone(), now, delay)
            .held_off(now, asked)
            .tried_at(unsigned.tried);
        self.failing.insert(subject.clone(), attempts.clone());
        if let Err(reason) = self.records.store_attempts(subject, &attempts).await {
            error!(names = %subject, error = %reason, "failed attempt is remembered in memory only");
        }
        let served_until = self
            .cache
            .get(subject)
            .map(|served| humantime::format_rfc3339_seconds(served.not_after()).to_string());
        warn!(
            names = %subject, attempt = attempts.failures,
            retry_in = %humantime::format_duration(Duration::from_secs(delay.as_secs())),
            permanent = failure.is_permanent(), served_until, error = %sentence,
            "certificate not obtained"
        );
        attempts.into()
    }
}

/// Why there is no certificate, as the CA says it and as this machine has seen it before.
pub(crate) fn told(failure: &Error, doubt: Option<&Reason>) -> String {
    let sentence = failure.to_string();
    match doubt.map(Reason::to_string) {
        Some(seen) if !sentence.contains(&seen) => format!("{sentence}; seen from here: {seen}"),
        _ => sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileStorage;

    #[tokio::test]
    async fn names_without_number_that_fail_take_bounded_memory() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(Arc::new(FileStorage::open(dir.path()).unwrap()));
        let failures = Failures::new(records, Arc::new(CertCache::new(1)), Clock::system());
        let name = |n| HostPattern::parse(&format!("n{n}.example.org")).unwrap();

        for n in 0..=REMEMBERED {
            failures.remember_panic(&name(n));
        }

        assert_eq!(failures.failing.len(), REMEMBERED);
        assert!(failures.attempts(&name(REMEMBERED)).await.is_some());
    }
}
