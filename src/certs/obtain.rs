//! How one name comes to its certificate: storage, permission, order, storage, cache.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tracing::{debug, error, info, warn};

use super::clock::{Clock, from_unix};
use super::issuer::{Error, IssueRequest, Issuer, Pem};
use super::policy::{Issuers, Policy};
use super::renewals::Renewals;
use super::stored::{Attempts, Records, Stored};
use super::wanted::Wanted;
use super::{CertCache, Certificate, CertificateError, Refusal, renew_at, retry};
use crate::backoff;
use crate::name::HostPattern;

/// Why a certificate is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A handshake waits: whatever is still valid will do.
    Serve,
    /// Its time for renewal may have come: what is due is replaced.
    Renew,
    /// Like [`Renew`](Self::Renew), after the CA was asked whether that time has come.
    Ask,
}

/// Gets certificates, one name per call.
#[derive(Debug)]
pub(super) struct Obtainer {
    issuers: Issuers,
    records: Records,
    cache: Arc<CertCache>,
    failing: DashMap<HostPattern, Attempts>,
    renewals: Renewals,
    clock: Clock,
}

impl Obtainer {
    pub(super) fn new(
        issuers: Issuers,
        records: Records,
        cache: Arc<CertCache>,
        clock: Clock,
    ) -> Self {
        Self {
            issuers,
            renewals: Renewals::new(records.clone(), clock),
            records,
            cache,
            failing: DashMap::new(),
            clock,
        }
    }

    /// Whether certificates for `subject` come from this issuer.
    pub(super) fn is_issued_by(&self, issuer: &str, subject: &HostPattern) -> bool {
        self.issuers.for_subject(subject).id() == issuer
    }

    pub(super) fn cache(&self) -> &CertCache {
        &self.cache
    }

    /// The order path. The caller sees to it that it runs once at a time per subject. `known` is the
    /// stored certificate where the caller has just read it.
    pub(super) async fn obtain(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        purpose: Purpose,
        known: Option<Arc<Certificate>>,
    ) -> Result<Arc<Certificate>, Refusal> {
        let issuer = self.issuers.for_subject(subject);
        let wanted = Wanted {
            subject,
            policy,
            purpose,
        };
        if let Some(certificate) = self.current(issuer, wanted, known).await? {
            return Ok(certificate);
        }
        self.check_backoff(subject).await?;
        self.ask(subject, policy).await?;
        let _lock = self.records.lock_issuance(subject).await?;
        // Another process may have obtained it while this one waited for the lock, or have failed.
        if let Some(certificate) = self.load(issuer.id(), wanted).await?
            && self.is_current(&certificate, purpose)
        {
            return Ok(certificate);
        }
        self.check_backoff(subject).await?;
        self.remember_begin(subject, policy).await?;
        match self.issue(issuer.as_ref(), wanted).await {
            Ok((certificate, pem)) => {
                self.keep(issuer.id(), subject, policy, &pem).await;
                let signed = wanted.signed_by(issuer.id());
                self.renewals
                    .begin(signed, &certificate, pem.account())
                    .await;
                self.serve(subject, &certificate);
                self.hold_if_due(subject, policy, &certificate).await;
                info!(
                    names = %subject, issuer = issuer.id(), serial = certificate.serial(),
                    not_after = %humantime::format_rfc3339_seconds(certificate.not_after()),
                    renew_at = %humantime::format_rfc3339_seconds(renew_at(&certificate)),
                    "certificate obtained"
                );
                Ok(certificate)
            }
            Err(error) => Err(self.remember_failure(issuer.id(), subject, &error).await),
        }
    }

    /// The stored certificate when it is still valid. For a question to the CA what is served will
    /// do: storage is read again before anything is replaced.
    pub(super) async fn stored(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        purpose: Purpose,
    ) -> Option<Arc<Certificate>> {
        let issuer = self.issuers.for_subject(subject);
        let wanted = Wanted {
            subject,
            policy,
            purpose,
        };
        if let Some(served) = self.cache.get(subject)
            && purpose == Purpose::Ask
            && served.not_after() > self.clock.now()
        {
            return Some(served);
        }
        self.load(issuer.id(), wanted).await.ok().flatten()
    }

    /// The stored certificate when it is good enough for the purpose.
    async fn current(
        &self,
        issuer: &Arc<dyn Issuer>,
        wanted: Wanted<'_>,
        known: Option<Arc<Certificate>>,
    ) -> Result<Option<Arc<Certificate>>, Refusal> {
        let stored = match known {
            Some(certificate) => Some(certificate),
            None => self.load(issuer.id(), wanted).await?,
        };
        let Some(certificate) = stored else {
            return Ok(None);
        };
        // Nothing is replaced before its CA was asked, where it has a say.
        let is_asked = wanted.purpose == Purpose::Ask
            || (!self.is_current(&certificate, wanted.purpose)
                && certificate.next_question().is_some());
        if is_asked {
            let signed = wanted.signed_by(issuer.id());
            self.renewals.ask(issuer, signed, &certificate).await;
        }
        let is_current = self.is_current(&certificate, wanted.purpose);
        Ok(is_current.then_some(certificate))
    }

    fn is_current(&self, certificate: &Certificate, purpose: Purpose) -> bool {
        purpose == Purpose::Serve || renew_at(certificate) > self.clock.now()
    }

    /// The stored certificate when it is valid. It is served from now on, unless nobody has asked
    /// for it: the many names whose time is only watched would drive those in use out of memory.
    async fn load(
        &self,
        issuer: &str,
        wanted: Wanted<'_>,
    ) -> Result<Option<Arc<Certificate>>, Refusal> {
        let subject = wanted.subject;
        let now = self.clock.now();
        let certificate = match self.records.load_certificate(issuer, subject).await? {
            Stored::Missing => return Ok(None),
            Stored::Found(certificate) => certificate,
            Stored::Damaged(reason) => {
                let file = self.records.certificate_location(issuer, subject);
                warn!(names = %subject, %file, error = %reason, "stored certificate is damaged");
                return Ok(None);
            }
        };
        let early = match certificate.verify_for(subject, now) {
            Ok(()) => None,
            // It was valid when it was stored, so it is this machine's clock that is behind.
            Err(error @ CertificateError::NotYetValid(_)) => Some(error),
            Err(reason) => {
                debug!(names = %subject, error = %reason, "stored certificate is of no use");
                return Ok(None);
            }
        };
        let served = self.cache.get(subject);
        let is_served = served.is_some();
        // What could not be stored is served all the same, and is better than what was before it.
        let better = served.filter(|served| {
            served.serial() == certificate.serial() || served.not_after() > certificate.not_after()
        });
        if let Some(better) = better {
            return Ok(Some(better));
        }
        self.renewals
            .recall(wanted.signed_by(issuer), &certificate)
            .await;
        if is_served || wanted.purpose == Purpose::Serve || wanted.policy.managed().is_some() {
            self.serve(subject, &certificate);
            info!(
                names = %subject, issuer, serial = certificate.serial(),
                not_after = %humantime::format_rfc3339_seconds(certificate.not_after()),
                "certificate loaded"
            );
            if let Some(reason) = early {
                warn!(names = %subject, error = %reason, "certificate is served although it is early");
            }
        }
        Ok(Some(certificate))
    }

    async fn check_backoff(&self, subject: &HostPattern) -> Result<(), Refusal> {
        match self.attempts(subject).await {
            Some(attempts) if !attempts.is_due(self.clock.now()) => {
                let reason = Refusal::from(attempts);
                debug!(names = %subject, %reason, "certificate is not ordered yet");
                Err(reason)
            }
            _ => Ok(()),
        }
    }

    /// What is remembered of attempts without a certificate, in memory or in storage.
    pub(super) async fn attempts(&self, subject: &HostPattern) -> Option<Attempts> {
        if let Some(attempts) = self.failing.get(subject) {
            return Some(attempts.clone());
        }
        match self.records.load_attempts(subject).await {
            Ok(attempts) => attempts,
            Err(reason) => {
                error!(names = %subject, error = %reason, "failed attempts cannot be read");
                None
            }
        }
    }

    async fn ask(&self, subject: &HostPattern, policy: &Policy) -> Result<(), Refusal> {
        let (Some(ask), HostPattern::Exact(name)) = (policy.ask(), subject) else {
            return Ok(());
        };
        // What is served stays: a gate that is down answers like one that took the name back.
        let answer = ask.allow(name).await;
        answer.map_err(|refused| Refusal::NotAllowed(Arc::new(refused)))
    }

    /// Counts the attempt before it is made, so that a process that is killed over and over does
    /// not order each time. Fails when nothing can be written: what the CA signs could not be kept.
    async fn remember_begin(&self, subject: &HostPattern, policy: &Policy) -> Result<(), Refusal> {
        if !policy.is_kept() {
            return Ok(());
        }
        let former = self.attempts(subject).await.unwrap_or_default();
        let attempts = former.begun(self.clock.now());
        let written = self.records.store_attempts(subject, &attempts).await;
        written.inspect_err(|reason| {
            error!(names = %subject, error = %reason, "no certificate is ordered: nothing can be stored");
        })?;
        Ok(())
    }

    async fn issue(
        &self,
        issuer: &dyn Issuer,
        wanted: Wanted<'_>,
    ) -> Result<(Arc<Certificate>, Pem), Error> {
        let subject = wanted.subject;
        let replaces = self
            .renewals
            .predecessor(wanted.signed_by(issuer.id()))
            .await;
        info!(names = %subject, issuer = issuer.id(), "certificate is being obtained");
        let pem = issuer.issue(IssueRequest {
            subject,
            replaces: replaces.as_ref(),
        });
        let pem = pem.await?;
        let certificate = Certificate::from_pem(pem.as_str().as_bytes())?;
        certificate.verify_for(subject, self.clock.now())?;
        Ok((Arc::new(certificate), pem))
    }

    /// Writes what was obtained. It is served even when that fails: the CA has spent it already.
    async fn keep(&self, issuer: &str, subject: &HostPattern, policy: &Policy, pem: &Pem) {
        self.failing.remove(subject);
        if !policy.is_kept() {
            return;
        }
        let stored = self
            .records
            .store_certificate(issuer, subject, pem.as_str())
            .await;
        let cleared = self.records.clear_attempts(subject).await;
        if let Err(reason) = stored.and(cleared) {
            error!(names = %subject, error = %reason, "certificate is served but not stored");
        }
    }

    /// A certificate that is due when it comes, because a clock is wrong or the CA dates it back,
    /// is not replaced before half of what is left of it: its successor would be due as well.
    async fn hold_if_due(&self, subject: &HostPattern, policy: &Policy, certificate: &Certificate) {
        let now = self.clock.now();
        if renew_at(certificate) > now {
            return;
        }
        let left = certificate.not_after().duration_since(now);
        let delay = backoff::ISSUANCE.delay(1, left.ok().map(|left| left / 2));
        let reason = "it was due for renewal when it came; check this machine's clock".to_owned();
        warn!(names = %subject, error = %reason, "certificate is short of time");
        let attempts = Attempts::default().failed(reason, now, delay);
        self.failing.insert(subject.clone(), attempts.clone());
        if policy.is_kept()
            && let Err(reason) = self.records.store_attempts(subject, &attempts).await
        {
            error!(names = %subject, error = %reason, "failed attempt is remembered in memory only");
        }
    }

    fn serve(&self, subject: &HostPattern, certificate: &Arc<Certificate>) {
        self.cache.insert(subject, Arc::clone(certificate));
    }

    /// How long the certificate of a name is still valid, whether it is in memory or not.
    async fn left(&self, issuer: &str, subject: &HostPattern) -> Option<Duration> {
        let end = match self.cache.get(subject) {
            Some(served) => served.not_after(),
            None => {
                let plan = self.records.load_plan(issuer, subject).await;
                from_unix(plan.ok().flatten()?.not_after)
            }
        };
        end.duration_since(self.clock.now()).ok()
    }

    /// An attempt that ended in a panic counts as failed, in memory.
    pub(super) fn remember_panic(&self, subject: &HostPattern) -> Refusal {
        let former = self.failing.get(subject).map(|attempts| attempts.clone());
        let former = former.unwrap_or_default();
        let delay = backoff::ISSUANCE.delay(former.failures + 1, None);
        let reason = "the attempt ended in a panic, which the log shows".to_owned();
        let attempts = former.failed(reason, self.clock.now(), delay);
        self.failing.insert(subject.clone(), attempts.clone());
        attempts.into()
    }

    async fn remember_failure(
        &self,
        issuer: &str,
        subject: &HostPattern,
        failure: &Error,
    ) -> Refusal {
        let former = self.attempts(subject).await.unwrap_or_default();
        let left = self.left(issuer, subject).await;
        let delay = retry::delay(former.failures + 1, failure, left);
        let attempts = former.failed(failure.to_string(), self.clock.now(), delay);
        self.failing.insert(subject.clone(), attempts.clone());
        if let Err(reason) = self.records.store_attempts(subject, &attempts).await {
            error!(names = %subject, error = %reason, "failed attempt is remembered in memory only");
        }
        let served_until = self
            .cache
            .get(subject)
            .map(|served| humantime::format_rfc3339_seconds(served.not_after()).to_string());
        warn!(
            names = %subject, issuer, attempt = attempts.failures,
            retry_in = %humantime::format_duration(Duration::from_secs(delay.as_secs())),
            permanent = failure.is_permanent(), served_until, error = %failure,
            "certificate not obtained"
        );
        attempts.into()
    }
}
