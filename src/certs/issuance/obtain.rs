//! How one name comes to its certificate: storage, permission, order, storage, cache.

use std::sync::Arc;

use tracing::{debug, error, info, warn};

use super::ari::Ari;
use super::failover::{Failover, Issued};
use super::failures::Failures;
use super::request::{CertRequest, Purpose};
use super::unconfigured_issuer;
use crate::certs::budget::Budgets;
use crate::certs::certificate::{CertCache, Certificate, CertificateError};
use crate::certs::clock::Clock;
use crate::certs::issuer::{Issuer, Pem};
use crate::certs::policy::Policy;
use crate::certs::records::{Records, Stored};
use crate::certs::renewal::renew_at;
use crate::certs::status::{Refusal, unsignable_by_all};
use crate::name::HostPattern;

/// A stored certificate that is of use.
#[derive(Debug)]
struct Loaded<'a> {
    issuer: &'a Arc<dyn Issuer>,
    certificate: Arc<Certificate>,
    /// Why it should not be served yet.
    early: Option<CertificateError>,
}

/// Gets certificates, one name per call.
#[derive(Debug)]
pub(crate) struct Obtainer {
    records: Records,
    cache: Arc<CertCache>,
    failover: Failover,
    failures: Failures,
    ari: Arc<Ari>,
    clock: Clock,
}

impl Obtainer {
    pub(crate) fn new(records: Records, cache: Arc<CertCache>, clock: Clock) -> Self {
        let budgets = Budgets::new(Arc::clone(records.storage()));
        let ari = Arc::new(Ari::new(records.clone(), clock));
        Self {
            failover: Failover::new(budgets, Arc::clone(&ari), clock),
            failures: Failures::new(records.clone(), Arc::clone(&cache), clock),
            ari,
            records,
            cache,
            clock,
        }
    }

    pub(crate) fn cache(&self) -> &CertCache {
        &self.cache
    }

    pub(crate) fn failures(&self) -> &Failures {
        &self.failures
    }

    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    /// The order path. The caller sees to it that it runs once at a time per subject. `known` is the
    /// stored certificate where the caller has just read it.
    pub(crate) async fn obtain(
        &self,
        request: CertRequest<'_>,
        known: Option<Arc<Certificate>>,
    ) -> Result<Arc<Certificate>, Refusal> {
        let CertRequest {
            subject, purpose, ..
        } = request;
        if let Some(certificate) = self.current(request, known).await? {
            return Ok(certificate);
        }
        if let Some(obstacle) = unsignable_by_all(request.issuers(), subject) {
            return Err(Refusal::NoPublicCa(obstacle));
        }
        self.failures.check(subject, purpose).await?;
        request.allowed().await?;
        let _lock = self.records.lock_issuance(subject).await?;
        // Another process may have obtained it while this one waited for the lock, or have failed.
        if let Some(certificate) = self.load(request).await?
            && self.is_current(&certificate, purpose)
        {
            return Ok(certificate);
        }
        self.failures.check(subject, purpose).await?;
        self.order(request).await
    }

    /// Has it signed, whatever is there.
    async fn order(&self, request: CertRequest<'_>) -> Result<Arc<Certificate>, Refusal> {
        let (subject, policy) = (request.subject, request.policy());
        self.check_storage(subject, policy).await?;
        let former = self.failures.attempts(subject).await;
        let begun = self.failures.begin(subject, policy, former.as_ref());
        begun.await?;
        let served = self.cache.get(subject);
        let request = CertRequest {
            served: served.as_deref(),
            has_failed: former.as_ref().is_some_and(|former| former.failures > 0),
            ..request
        };
        let outcome = self.failover.run(request).await;
        match outcome.map_err(|unsigned| unsigned.named(&request.ruleset().issuers)) {
            Ok(issued) => Ok(self.take_over(issued, request).await),
            Err(unsigned) => Err(match unsigned.held() {
                Some(held) => {
                    debug!(names = %subject, reason = %held, "certificate is not ordered yet");
                    let taken_back = self.failures.take_back(subject, policy, former.as_ref());
                    taken_back.await;
                    held.into()
                }
                None if policy.is_kept() => self.failures.remember(request, unsigned).await,
                None => self.failures.pass_over(subject, &unsigned),
            }),
        }
    }

    /// Keeps and serves what was issued.
    async fn take_over(&self, issued: Issued<'_>, request: CertRequest<'_>) -> Arc<Certificate> {
        let (subject, policy) = (request.subject, request.policy());
        let Issued {
            issuer,
            certificate,
            pem,
        } = issued;
        self.keep(request, issuer.id(), &pem).await;
        let plan = request.plan_key(issuer);
        self.ari.begin(plan, &certificate, pem.account()).await;
        self.serve(subject, &certificate);
        let held = self.failures.hold_if_due(subject, policy, &certificate);
        held.await;
        info!(
            names = %subject, issuer = issuer.name(), serial = certificate.serial(),
            not_after = %humantime::format_rfc3339_seconds(certificate.not_after()),
            renew_at = %humantime::format_rfc3339_seconds(renew_at(&certificate)),
            "certificate obtained"
        );
        certificate
    }

    /// The stored certificate when it is still valid. For a question to the CA what is served will
    /// do: storage is read again before anything is replaced.
    pub(crate) async fn stored(&self, request: CertRequest<'_>) -> Option<Arc<Certificate>> {
        if let Some(served) = self.cache.get(request.subject)
            && request.purpose == Purpose::CheckAri
            && served.not_after() > self.clock.now()
        {
            return Some(served);
        }
        self.load(request).await.ok().flatten()
    }

    /// The stored certificate when it is good enough for the purpose.
    async fn current(
        &self,
        request: CertRequest<'_>,
        known: Option<Arc<Certificate>>,
    ) -> Result<Option<Arc<Certificate>>, Refusal> {
        let stored = match known {
            Some(certificate) => Some(certificate),
            None => self.load(request).await?,
        };
        let Some(certificate) = stored else {
            return Ok(None);
        };
        // Nothing is replaced before its CA was asked, where it has a say.
        let is_asked = match request.purpose {
            Purpose::CheckAri => true,
            Purpose::RenewNow => false,
            purpose => {
                !self.is_current(&certificate, purpose) && certificate.next_question().is_some()
            }
        };
        if is_asked {
            let signer = self
                .records
                .signer(request.issuers(), request.subject, &certificate);
            if let Some(issuer) = signer.await {
                let plan = request.plan_key(issuer.as_ref());
                self.ari.ask(issuer, plan, &certificate).await;
            }
        }
        let is_current = self.is_current(&certificate, request.purpose);
        Ok(is_current.then_some(certificate))
    }

    fn is_current(&self, certificate: &Certificate, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Serve(_) => true,
            Purpose::Renew | Purpose::CheckAri => renew_at(certificate) > self.clock.now(),
            Purpose::RenewNow => false,
        }
    }

    /// The best stored certificate of any of the issuers, when it is valid.
    async fn load(&self, request: CertRequest<'_>) -> Result<Option<Arc<Certificate>>, Refusal> {
        let mut best: Option<Loaded<'_>> = None;
        for issuer in request.issuers() {
            let loaded = self.read(issuer, request.subject).await?;
            let end = |loaded: &Loaded<'_>| loaded.certificate.not_after();
            best = [best, loaded].into_iter().flatten().max_by_key(end);
        }
        match (best, request.purpose) {
            (Some(loaded), _) => Ok(Some(self.take(loaded, request).await)),
            // Better than none, until one of today's issuers has signed.
            (None, Purpose::Serve(_)) => {
                let now = self.clock.now();
                let former = unconfigured_issuer::find(
                    &self.records,
                    request.issuers(),
                    request.subject,
                    now,
                );
                Ok(former.await?.inspect(|found| {
                    warn!(names = %request.subject, serial = found.serial(), "certificate of a former issuer is served");
                    self.cache.insert(request.subject, Arc::clone(found));
                }))
            }
            (None, _) => Ok(None),
        }
    }

    /// The stored certificate of one issuer, when it is of any use.
    async fn read<'a>(
        &self,
        issuer: &'a Arc<dyn Issuer>,
        subject: &HostPattern,
    ) -> Result<Option<Loaded<'a>>, Refusal> {
        let id = issuer.id();
        let certificate = match self.records.load_certificate(id, subject).await? {
            Stored::Missing => return Ok(None),
            Stored::Found(certificate) => certificate,
            Stored::Damaged(reason) => {
                let file = self.records.certificate_location(id, subject);
                warn!(names = %subject, %file, error = %reason, "stored certificate is damaged");
                return Ok(None);
            }
        };
        let early = match certificate.verify_for(subject, self.clock.now()) {
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

    /// It is served from now on, unless nobody has asked for it: the many names whose time is only
    /// watched would drive those in use out of memory.
    async fn take(&self, loaded: Loaded<'_>, request: CertRequest<'_>) -> Arc<Certificate> {
        let Loaded {
            issuer,
            certificate,
            early,
        } = loaded;
        let subject = request.subject;
        let served = self.cache.get(subject);
        let is_served = served.is_some();
        // What could not be stored is served all the same, and is better than what was before it.
        let better = served.filter(|served| {
            served.serial() == certificate.serial() || served.not_after() > certificate.not_after()
        });
        if let Some(better) = better {
            return better;
        }
        let plan = request.plan_key(issuer.as_ref());
        self.ari.recall(plan, &certificate).await;
        let is_visited = matches!(request.purpose, Purpose::Serve(_));
        if is_served || is_visited || request.policy().managed().is_some() {
            self.serve(subject, &certificate);
            info!(
                names = %subject, issuer = issuer.name(), serial = certificate.serial(),
                not_after = %humantime::format_rfc3339_seconds(certificate.not_after()),
                "certificate loaded"
            );
            if let Some(reason) = early {
                warn!(names = %subject, error = %reason, "certificate is served although it is early");
            }
        }
        certificate
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
    async fn keep(&self, request: CertRequest<'_>, issuer: &str, pem: &Pem) {
        let subject = request.subject;
        self.failures.forget(subject);
        if !request.policy().is_kept() {
            return;
        }
        let stored = self
            .records
            .store_certificate(issuer, subject, pem.as_str())
            .await;
        if stored.is_ok() {
            // Whoever has signed, nobody's order is to be gone on with.
            for issuer in request.issuers() {
                issuer.forget_order(subject).await;
            }
            if let Some(hook) = &request.ruleset().on_cert {
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
