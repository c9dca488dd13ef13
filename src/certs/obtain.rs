//! How one name comes to its certificate: storage, permission, order, storage, cache.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::{debug, error, info, warn};

use super::budget::Budgets;
use super::failures::Failures;
use super::issuance::{Application, Issuance, Issued};
use super::issuer::{Issuer, Pem};
use super::policy::{Issuers, Policy};
use super::preflight::Preflight;
use super::standing_sources::unsignable_by_all;
use super::stored::{Records, Stored};
use super::{CertCache, Certificate, CertificateError, OnCert, Refusal, renew_at};
use crate::name::HostPattern;

/// Why a certificate is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A handshake waits: whatever is still valid will do.
    Serve,
    /// The same, for a client whose address is known.
    ServeTo(IpAddr),
    /// Its time for renewal may have come: what is due is replaced.
    Renew,
    /// An operator wants a new one now: what is there is replaced though it is not due, and our
    /// own back-off does not count. The wait that the CA asked for does.
    Wish,
}

/// A stored certificate that is of use.
#[derive(Debug)]
struct Loaded<'a> {
    issuer: &'a str,
    certificate: Arc<Certificate>,
    /// Why it should not be served yet.
    early: Option<CertificateError>,
}

/// Gets certificates, one name per call.
#[derive(Debug)]
pub(super) struct Obtainer {
    issuers: Issuers,
    records: Records,
    cache: Arc<CertCache>,
    issuance: Issuance,
    failures: Failures,
    on_cert: Option<OnCert>,
}

impl Obtainer {
    pub(super) fn new(issuers: Issuers, records: Records, cache: Arc<CertCache>) -> Self {
        let budgets = Budgets::new(Arc::clone(records.storage()));
        Self {
            issuers,
            issuance: Issuance::new(budgets),
            failures: Failures::new(records.clone(), Arc::clone(&cache)),
            records,
            cache,
            on_cert: None,
        }
    }

    /// Looks at every name before its CA is asked.
    pub(super) fn with_preflight(self, preflight: Option<Preflight>) -> Self {
        let issuance = self.issuance.with_preflight(preflight);
        Self { issuance, ..self }
    }

    /// The same with a command that is run after each new certificate.
    pub(super) fn with_hook(self, on_cert: Option<OnCert>) -> Self {
        Self { on_cert, ..self }
    }

    pub(super) fn cache(&self) -> &CertCache {
        &self.cache
    }

    pub(super) fn failures(&self) -> &Failures {
        &self.failures
    }

    pub(super) fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    pub(super) fn records(&self) -> &Records {
        &self.records
    }

    /// The order path. The caller sees to it that it runs once at a time per subject.
    pub(super) async fn obtain(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        purpose: Purpose,
    ) -> Result<Arc<Certificate>, Refusal> {
        let issuers = self.issuers.for_subject(subject, policy);
        if let Some(certificate) = self.load(issuers, subject, purpose).await? {
            return Ok(certificate);
        }
        if let Some(obstacle) = unsignable_by_all(issuers, subject) {
            return Err(Refusal::NoPublicCa(obstacle));
        }
        self.failures.check(subject, purpose).await?;
        self.ask(subject, policy, purpose).await?;
        let _lock = self.records.lock_issuance(subject).await?;
        // Another process may have obtained it while this one waited for the lock, or have failed.
        if let Some(certificate) = self.load(issuers, subject, purpose).await? {
            return Ok(certificate);
        }
        self.failures.check(subject, purpose).await?;
        self.check_storage(subject, policy).await?;
        let former = self.failures.attempts(subject).await;
        self.failures
            .begin(subject, policy, former.as_ref())
            .await?;
        let served = self.cache.get(subject);
        let application = Application {
            subject,
            served: served.as_deref(),
            has_failed: former.as_ref().is_some_and(|former| former.failures > 0),
        };
        match self.issuance.run(issuers, application).await {
            Ok(issued) => {
                let Issued {
                    issuer,
                    certificate,
                    pem,
                } = issued;
                self.keep(issuer.id(), subject, policy, &pem).await;
                self.serve(subject, &certificate);
                self.failures
                    .hold_if_due(subject, policy, &certificate)
                    .await;
                info!(
                    names = %subject, issuer = issuer.id(), serial = certificate.serial(),
                    not_after = %humantime::format_rfc3339_seconds(certificate.not_after()),
                    renew_at = %humantime::format_rfc3339_seconds(renew_at(&certificate)),
                    "certificate obtained"
                );
                Ok(certificate)
            }
            Err(unsigned) => Err(match unsigned.held() {
                Some(held) => {
                    debug!(names = %subject, reason = %held, "certificate is not ordered yet");
                    self.failures
                        .take_back(subject, policy, former.as_ref())
                        .await;
                    held.into()
                }
                None => self.failures.remember(subject, unsigned).await,
            }),
        }
    }

    /// The stored certificate, served from now on, when it is still valid.
    pub(super) async fn stored(
        &self,
        subject: &HostPattern,
        policy: &Policy,
    ) -> Option<Arc<Certificate>> {
        let issuers = self.issuers.for_subject(subject, policy);
        let loaded = self.load(issuers, subject, Purpose::Serve).await;
        loaded.ok().flatten()
    }

    /// The best stored certificate of any of the issuers, served from now on, when it is good enough
    /// for `purpose`.
    async fn load(
        &self,
        issuers: &[Arc<dyn Issuer>],
        subject: &HostPattern,
        purpose: Purpose,
    ) -> Result<Option<Arc<Certificate>>, Refusal> {
        let mut best: Option<Loaded<'_>> = None;
        for issuer in issuers {
            let loaded = self.read(issuer.id(), subject).await?;
            let end = |loaded: &Loaded<'_>| loaded.certificate.not_after();
            best = [best, loaded].into_iter().flatten().max_by_key(end);
        }
        Ok(best.and_then(|loaded| self.take(loaded, subject, purpose)))
    }

    /// The stored certificate of one issuer, when it is of any use.
    async fn read<'a>(
        &self,
        issuer: &'a str,
        subject: &HostPattern,
    ) -> Result<Option<Loaded<'a>>, Refusal> {
        let certificate = match self.records.load_certificate(issuer, subject).await? {
            Stored::Missing => return Ok(None),
            Stored::Found(certificate) => certificate,
            Stored::Damaged(reason) => {
                let file = self.records.certificate_location(issuer, subject);
                warn!(names = %subject, %file, error = %reason, "stored certificate is damaged");
                return Ok(None);
            }
        };
        let early = match certificate.verify_for(subject, SystemTime::now()) {
            Ok(()) => None,
            // It was valid when it was stored, so it is this machine's clock that is behind.
            Err(error @ CertificateError::NotYetValid(_)) => Some(error),
            Err(reason) => {
                debug!(names = %subject, error = %reason, "stored certificate is of no use");
                return Ok(None);
            }
        };
        Ok(Some(Loaded {
            issuer,
            certificate,
            early,
        }))
    }

    fn take(
        &self,
        loaded: Loaded<'_>,
        subject: &HostPattern,
        purpose: Purpose,
    ) -> Option<Arc<Certificate>> {
        let Loaded {
            issuer,
            certificate,
            early,
        } = loaded;
        // What could not be stored is served all the same, and is better than what was before it.
        let served = self.cache.get(subject);
        let better = served.filter(|served| served.not_after() > certificate.not_after());
        let certificate = better.unwrap_or(certificate);
        let is_current = match purpose {
            Purpose::Serve | Purpose::ServeTo(_) => true,
            Purpose::Renew => renew_at(&certificate) > SystemTime::now(),
            Purpose::Wish => false,
        };
        if self
            .cache
            .get(subject)
            .is_none_or(|served| served.serial() != certificate.serial())
        {
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
        is_current.then_some(certificate)
    }

    async fn ask(
        &self,
        subject: &HostPattern,
        policy: &Policy,
        purpose: Purpose,
    ) -> Result<(), Refusal> {
        let (Some(ask), HostPattern::Exact(name)) = (policy.ask(), subject) else {
            return Ok(());
        };
        // What is served stays: a gate that is down answers like one that took the name back.
        let client = match purpose {
            Purpose::ServeTo(client) => Some(client),
            Purpose::Serve | Purpose::Renew | Purpose::Wish => None,
        };
        ask.allow(name, client).await.map_err(Refusal::NotAllowed)
    }

    /// What cannot be stored is not asked for: the next start would ask for it again.
    async fn check_storage(&self, subject: &HostPattern, policy: &Policy) -> Result<(), Refusal> {
        if !policy.is_kept() {
            return Ok(());
        }
        let proved = self.records.prove_writable().await;
        proved.inspect_err(|reason| {
            error!(names = %subject, error = %reason, "no certificate is ordered: nothing can be stored");
        })?;
        Ok(())
    }

    /// Writes what was obtained. It is served even when that fails: the CA has spent it already.
    async fn keep(&self, issuer: &str, subject: &HostPattern, policy: &Policy, pem: &Pem) {
        self.failures.forget(subject);
        if !policy.is_kept() {
            return;
        }
        let stored = self
            .records
            .store_certificate(issuer, subject, pem.as_str())
            .await;
        if stored.is_ok() {
            // Whoever has signed, nobody's order is to be gone on with.
            for issuer in self.issuers.for_subject(subject, policy) {
                issuer.settled(subject).await;
            }
            if let Some(hook) = &self.on_cert {
                hook.run(subject, self.records.certificate_location(issuer, subject));
            }
        }
        let cleared = self.records.clear_attempts(subject).await;
        if let Err(reason) = stored.and(cleared) {
            error!(names = %subject, error = %reason, "certificate is served but not stored");
        }
    }

    fn serve(&self, subject: &HostPattern, certificate: &Arc<Certificate>) {
        self.cache.insert(subject, Arc::clone(certificate));
    }
}
