//! The steps from one name to its certificate: storage, permission, order, storage, cache.

use std::sync::Arc;

use tracing::{debug, error, info, warn};

use super::failover::{Failover, Issued};
use super::failures::Failures;
use super::renewal_plans::RenewalPlans;
use super::request::{CertRequest, Purpose};
use super::unconfigured_issuer;
use crate::certs::budget::Budgets;
use crate::certs::certificate::{CertCache, Certificate, CertificateError};
use crate::certs::clock::Clock;
use crate::certs::issuer::{Issuer, Pem};
use crate::certs::lru_table::LruTable;
use crate::certs::renewal::renew_at;
use crate::certs::status::{CertificateRefusal, unsignable_by_all};
use crate::certs::store::{CertificateStore, Stored};
use crate::name::HostPattern;

/// A usable stored certificate.
#[derive(Debug)]
struct Loaded<'a> {
    issuer: &'a Arc<dyn Issuer>,
    certificate: Arc<Certificate>,
    /// Set if its validity has not begun by this machine's clock.
    early: Option<CertificateError>,
}

/// Obtains certificates, one name per call.
#[derive(Debug)]
pub(crate) struct Obtainer {
    records: CertificateStore,
    cache: Arc<CertCache>,
    failover: Failover,
    failures: Failures,
    renewal_plans: Arc<RenewalPlans>,
    /// The records that cannot be used and that the log has told, by location.
    told_unusable: LruTable<String, ()>,
    clock: Clock,
}

/// Limits how many records that cannot be used are remembered.
const REMEMBERED: usize = 1024;

impl Obtainer {
    pub(crate) fn new(records: CertificateStore, cache: Arc<CertCache>, clock: Clock) -> Self {
        let budgets = Budgets::new(Arc::clone(records.storage()));
        let renewal_plans = Arc::new(RenewalPlans::new(records.clone(), clock));
        let failures = Failures::new(records.clone(), Arc::clone(&cache), clock);
        let log = Arc::clone(failures.log());
        Self {
            failover: Failover::new(budgets, Arc::clone(&renewal_plans), log, clock),
            failures,
            renewal_plans,
            told_unusable: LruTable::new(REMEMBERED),
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

    pub(crate) fn records(&self) -> &CertificateStore {
        &self.records
    }

    /// Returns a certificate that is good enough for the purpose: the stored one, else a newly ordered one. `known` is the
    /// stored certificate if the caller has just read it.
    ///
    /// The caller makes sure that only one call per subject runs at a time.
    pub(crate) async fn obtain(
        &self,
        request: CertRequest<'_>,
        known: Option<Arc<Certificate>>,
    ) -> Result<Arc<Certificate>, CertificateRefusal> {
        let CertRequest {
            subject, purpose, ..
        } = request;
        if let Some(certificate) = self.current(request, known).await? {
            return Ok(certificate);
        }
        if let Some(obstacle) = unsignable_by_all(request.issuers(), subject) {
            return Err(CertificateRefusal::NoPublicCa(obstacle));
        }
        self.failures.check(subject, purpose).await?;
        request.allowed().await?;
        let _lock = self.records.lock_issuance(subject).await?;
        // While this process waited for the lock, another one may have obtained the certificate, or failed.
        if let Some(certificate) = self.load(request).await?
            && self.is_current(&certificate, purpose)
        {
            return Ok(certificate);
        }
        self.failures.check(subject, purpose).await?;
        self.order(request).await
    }

    /// Orders a certificate, whatever is stored.
    async fn order(
        &self,
        request: CertRequest<'_>,
    ) -> Result<Arc<Certificate>, CertificateRefusal> {
        let (subject, policy) = (request.subject, request.policy());
        let previous = self.failures.attempts(subject).await;
        let begun = self.failures.begin(subject, policy, previous.as_ref());
        begun.await?;
        let served = self.cache.get(subject);
        let request = CertRequest {
            served: served.as_deref(),
            has_failed: previous
                .as_ref()
                .is_some_and(|attempts| attempts.failures > 0),
            ..request
        };
        match self.failover.run(request).await {
            Ok(issued) => Ok(self.accept(issued, request).await),
            Err(failed) => Err(match failed.held() {
                Some(held) => {
                    debug!(names = %subject, reason = %held, "certificate is not ordered yet");
                    let undone = self.failures.undo_begin(subject, policy, previous.as_ref());
                    undone.await;
                    held.into()
                }
                None if policy.is_kept() => self.failures.record(request, failed).await,
                None => self.failures.report(subject, &failed),
            }),
        }
    }

    /// Stores and serves a new certificate.
    async fn accept(&self, issued: Issued<'_>, request: CertRequest<'_>) -> Arc<Certificate> {
        let (subject, policy) = (request.subject, request.policy());
        let Issued {
            issuer,
            certificate,
            pem,
        } = issued;
        self.store(request, issuer.id(), &pem).await;
        let plan = request.plan_key(issuer);
        self.renewal_plans
            .create_plan(plan, &certificate, pem.account())
            .await;
        self.serve(subject, &certificate);
        let delayed = self.failures.delay_if_due(subject, policy, &certificate);
        delayed.await;
        info!(
            names = %subject, issuer = issuer.name(), serial = certificate.serial(),
            not_after = %humantime::format_rfc3339_seconds(certificate.not_after()),
            renew_at = %humantime::format_rfc3339_seconds(renew_at(&certificate)),
            "certificate obtained"
        );
        certificate
    }

    /// Returns the stored certificate if it is still valid. For [`Purpose::CheckAri`] the served one is enough: storage is
    /// read again before anything is replaced.
    pub(crate) async fn stored(&self, request: CertRequest<'_>) -> Option<Arc<Certificate>> {
        if let Some(served) = self.cache.get(request.subject)
            && request.purpose == Purpose::CheckAri
            && served.not_after() > self.clock.now()
        {
            return Some(served);
        }
        self.load(request).await.ok().flatten()
    }

    /// Returns the stored certificate if it is good enough for the purpose.
    async fn current(
        &self,
        request: CertRequest<'_>,
        known: Option<Arc<Certificate>>,
    ) -> Result<Option<Arc<Certificate>>, CertificateRefusal> {
        let stored = match known {
            Some(certificate) => Some(certificate),
            None => self.load(request).await?,
        };
        let Some(certificate) = stored else {
            return Ok(None);
        };
        // A CA that offers renewal information is asked before its certificate is replaced.
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
                self.renewal_plans.ask(issuer, plan, &certificate).await;
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

    /// Returns the valid stored certificate of any issuer that expires last.
    async fn load(
        &self,
        request: CertRequest<'_>,
    ) -> Result<Option<Arc<Certificate>>, CertificateRefusal> {
        let mut best: Option<Loaded<'_>> = None;
        for issuer in request.issuers() {
            let loaded = self.read(issuer, request.subject).await?;
            let end = |loaded: &Loaded<'_>| loaded.certificate.not_after();
            best = [best, loaded].into_iter().flatten().max_by_key(end);
        }
        match (best, request.purpose) {
            (Some(loaded), _) => Ok(Some(self.adopt(loaded, request).await)),
            // Better than none until a configured issuer has signed.
            (None, Purpose::Serve(_)) => {
                let found = unconfigured_issuer::find(
                    &self.records,
                    request.issuers(),
                    request.subject,
                    |found| found.verify_for(request.subject, self.clock.now()).is_ok(),
                );
                Ok(found.await?.inspect(|found| {
                    warn!(names = %request.subject, serial = found.serial(), "serving a certificate of an unconfigured issuer");
                    self.cache.insert(request.subject, Arc::clone(found));
                }))
            }
            (None, _) => Ok(None),
        }
    }

    /// Returns the stored certificate of one issuer if it is usable.
    async fn read<'a>(
        &self,
        issuer: &'a Arc<dyn Issuer>,
        subject: &HostPattern,
    ) -> Result<Option<Loaded<'a>>, CertificateRefusal> {
        let id = issuer.id();
        let certificate = match self.records.load_certificate(id, subject).await? {
            Stored::Missing => return Ok(None),
            Stored::Found(certificate) => certificate,
            Stored::Damaged(reason) => {
                self.tell_unusable(id, subject, &reason);
                return Ok(None);
            }
        };
        let early = match certificate.verify_for(subject, self.clock.now()) {
            Ok(()) => None,
            // It was valid when it was stored, so this machine's clock must be behind.
            Err(error @ CertificateError::NotYetValid(_)) => Some(error),
            Err(reason) => {
                debug!(names = %subject, error = %reason, "stored certificate is unusable");
                return Ok(None);
            }
        };
        Ok(Some(Loaded {
            issuer,
            certificate,
            early,
        }))
    }

    /// Logs a record that cannot be used once. It is read several times until a new certificate replaces it.
    fn tell_unusable(&self, issuer: &str, subject: &HostPattern, reason: &CertificateError) {
        let file = self.records.certificate_location(issuer, subject);
        if self.told_unusable.get(&file).is_some() {
            return;
        }
        if matches!(reason, CertificateError::Forbidden) {
            warn!(names = %subject, %file, error = %reason, "stored certificate cannot be read; a new one is obtained");
        } else {
            warn!(names = %subject, %file, error = %reason, "stored certificate is damaged; a new one is obtained");
        }
        self.told_unusable.insert(file, ());
    }

    /// Serves the expired certificate that expired last, those of the configured issuers before others, after nothing newer could be had: it is
    /// better than none, and the wrong one of the two may be this machine's clock. Returns `None` if there is none.
    pub(crate) async fn serve_expired(
        &self,
        request: CertRequest<'_>,
        refusal: &CertificateRefusal,
    ) -> Option<Arc<Certificate>> {
        let subject = request.subject;
        if let Some(served) = self.cache.get(subject) {
            return Some(served);
        }
        let mut best: Option<Arc<Certificate>> = None;
        for issuer in request.issuers() {
            let stored = self.records.load_certificate(issuer.id(), subject).await;
            let Ok(Stored::Found(certificate)) = stored else {
                continue;
            };
            if self.is_only_expired(&certificate, subject) {
                let end = |certificate: &Arc<Certificate>| certificate.not_after();
                best = best.into_iter().chain([certificate]).max_by_key(end);
            }
        }
        if best.is_none() {
            let is_usable = |found: &Certificate| self.is_only_expired(found, subject);
            let others =
                unconfigured_issuer::find(&self.records, request.issuers(), subject, is_usable);
            best = others.await.ok().flatten();
        }
        let best = best?;
        warn!(
            names = %subject, serial = best.serial(), reason = %refusal,
            not_after = %humantime::format_rfc3339_seconds(best.not_after()),
            "serving an expired certificate, because no newer one can be had"
        );
        self.serve(subject, &best);
        Some(best)
    }

    fn is_only_expired(&self, certificate: &Certificate, subject: &HostPattern) -> bool {
        let outcome = certificate.verify_for(subject, self.clock.now());
        matches!(outcome, Err(CertificateError::Expired(_)))
    }

    /// Puts a stored certificate into the cache, unless it is an on-demand one that no client has asked for: those would push
    /// certificates in use out of the cache. Returns the better one of it and the served one.
    async fn adopt(&self, loaded: Loaded<'_>, request: CertRequest<'_>) -> Arc<Certificate> {
        let Loaded {
            issuer,
            certificate,
            early,
        } = loaded;
        let subject = request.subject;
        let served = self.cache.get(subject);
        let is_served = served.is_some();
        // A certificate that could not be stored is served nevertheless, and is newer than the stored one.
        let better = served.filter(|served| {
            served.serial() == certificate.serial() || served.not_after() > certificate.not_after()
        });
        if let Some(better) = better {
            return better;
        }
        let plan = request.plan_key(issuer.as_ref());
        self.renewal_plans.restore(plan, &certificate).await;
        let is_visited = matches!(request.purpose, Purpose::Serve(_));
        if is_served || is_visited || request.policy().managed().is_some() {
            self.serve(subject, &certificate);
            info!(
                names = %subject, issuer = issuer.name(), serial = certificate.serial(),
                not_after = %humantime::format_rfc3339_seconds(certificate.not_after()),
                "certificate loaded"
            );
            if let Some(reason) = early {
                warn!(names = %subject, error = %reason, "certificate is served before its validity begins");
            }
        }
        certificate
    }

    /// Stores a new certificate. It is served even if that fails, as the CA has counted it already.
    async fn store(&self, request: CertRequest<'_>, issuer: &str, pem: &Pem) {
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
            // Orders that were left at any of the issuers are obsolete now.
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
