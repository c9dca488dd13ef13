//! How one name comes to its certificate: storage, permission, order, storage, cache.

use std::sync::Arc;

use tracing::{debug, error, info, warn};

use super::ari::Ari;
use super::failover::{Application, Failover, Issued};
use super::failures::Failures;
use super::request::{Purpose, Wanted};
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
        wanted: Wanted<'_>,
        known: Option<Arc<Certificate>>,
    ) -> Result<Arc<Certificate>, Refusal> {
        let Wanted {
            subject, purpose, ..
        } = wanted;
        let issuers = wanted.issuers();
        if let Some(certificate) = self.current(issuers, wanted, known).await? {
            return Ok(certificate);
        }
        if let Some(obstacle) = unsignable_by_all(issuers, subject) {
            return Err(Refusal::NoPublicCa(obstacle));
        }
        self.failures.check(subject, purpose).await?;
        wanted.allowed().await?;
        let _lock = self.records.lock_issuance(subject).await?;
        // Another process may have obtained it while this one waited for the lock, or have failed.
        if let Some(certificate) = self.load(issuers, wanted).await?
            && self.is_current(&certificate, purpose)
        {
            return Ok(certificate);
        }
        self.failures.check(subject, purpose).await?;
        self.order(issuers, wanted).await
    }

    /// Has it signed, whatever is there.
    async fn order(
        &self,
        issuers: &[Arc<dyn Issuer>],
        wanted: Wanted<'_>,
    ) -> Result<Arc<Certificate>, Refusal> {
        let (subject, policy) = (wanted.subject, wanted.policy());
        self.check_storage(subject, policy).await?;
        let former = self.failures.attempts(subject).await;
        let begun = self.failures.begin(subject, policy, former.as_ref());
        begun.await?;
        let served = self.cache.get(subject);
        let application = Application {
            subject,
            served: served.as_deref(),
            has_failed: former.as_ref().is_some_and(|former| former.failures > 0),
            is_kept: policy.is_kept(),
            preflight: wanted.ruling.rules.preflight.as_deref(),
        };
        let outcome = self.failover.run(issuers, application).await;
        match outcome.map_err(|unsigned| wanted.ruling.rules.issuers.named(unsigned)) {
            Ok(issued) => Ok(self.take_over(issued, wanted).await),
            Err(unsigned) => Err(match unsigned.held() {
                Some(held) => {
                    debug!(names = %subject, reason = %held, "certificate is not ordered yet");
                    let taken_back = self.failures.take_back(subject, policy, former.as_ref());
                    taken_back.await;
                    held.into()
                }
                None if policy.is_kept() => {
                    self.failures.remember(subject, issuers, unsigned).await
                }
                None => self.failures.pass_over(subject, &unsigned),
            }),
        }
    }

    /// Keeps and serves what was issued.
    async fn take_over(&self, issued: Issued<'_>, wanted: Wanted<'_>) -> Arc<Certificate> {
        let (subject, policy) = (wanted.subject, wanted.policy());
        let Issued {
            issuer,
            certificate,
            pem,
        } = issued;
        self.keep(wanted, issuer.id(), &pem).await;
        let signed = wanted.signed_by(issuer.id());
        self.ari.begin(signed, &certificate, pem.account()).await;
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
    pub(crate) async fn stored(&self, wanted: Wanted<'_>) -> Option<Arc<Certificate>> {
        let issuers = wanted.issuers();
        if let Some(served) = self.cache.get(wanted.subject)
            && wanted.purpose == Purpose::Ask
            && served.not_after() > self.clock.now()
        {
            return Some(served);
        }
        self.load(issuers, wanted).await.ok().flatten()
    }

    /// The stored certificate when it is good enough for the purpose.
    async fn current(
        &self,
        issuers: &[Arc<dyn Issuer>],
        wanted: Wanted<'_>,
        known: Option<Arc<Certificate>>,
    ) -> Result<Option<Arc<Certificate>>, Refusal> {
        let stored = match known {
            Some(certificate) => Some(certificate),
            None => self.load(issuers, wanted).await?,
        };
        let Some(certificate) = stored else {
            return Ok(None);
        };
        // Nothing is replaced before its CA was asked, where it has a say.
        let is_asked = match wanted.purpose {
            Purpose::Ask => true,
            Purpose::Wish => false,
            purpose => {
                !self.is_current(&certificate, purpose) && certificate.next_question().is_some()
            }
        };
        if is_asked {
            let signer = self.records.signer(issuers, wanted.subject, &certificate);
            if let Some(issuer) = signer.await {
                let signed = wanted.signed_by(issuer.id());
                self.ari.ask(issuer, signed, &certificate).await;
            }
        }
        let is_current = self.is_current(&certificate, wanted.purpose);
        Ok(is_current.then_some(certificate))
    }

    fn is_current(&self, certificate: &Certificate, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Serve(_) => true,
            Purpose::Renew | Purpose::Ask => renew_at(certificate) > self.clock.now(),
            Purpose::Wish => false,
        }
    }

    /// The best stored certificate of any of the issuers, when it is valid.
    async fn load(
        &self,
        issuers: &[Arc<dyn Issuer>],
        wanted: Wanted<'_>,
    ) -> Result<Option<Arc<Certificate>>, Refusal> {
        let mut best: Option<Loaded<'_>> = None;
        for issuer in issuers {
            let loaded = self.read(issuer, wanted.subject).await?;
            let end = |loaded: &Loaded<'_>| loaded.certificate.not_after();
            best = [best, loaded].into_iter().flatten().max_by_key(end);
        }
        match (best, wanted.purpose) {
            (Some(loaded), _) => Ok(Some(self.take(loaded, wanted).await)),
            // Better than none, until one of today's issuers has signed.
            (None, Purpose::Serve(_)) => {
                let now = self.clock.now();
                let former = unconfigured_issuer::find(&self.records, issuers, wanted.subject, now);
                Ok(former.await?.inspect(|found| {
                    warn!(names = %wanted.subject, serial = found.serial(), "certificate of a former issuer is served");
                    self.cache.insert(wanted.subject, Arc::clone(found));
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
    async fn take(&self, loaded: Loaded<'_>, wanted: Wanted<'_>) -> Arc<Certificate> {
        let Loaded {
            issuer,
            certificate,
            early,
        } = loaded;
        let subject = wanted.subject;
        let served = self.cache.get(subject);
        let is_served = served.is_some();
        // What could not be stored is served all the same, and is better than what was before it.
        let better = served.filter(|served| {
            served.serial() == certificate.serial() || served.not_after() > certificate.not_after()
        });
        if let Some(better) = better {
            return better;
        }
        let signed = wanted.signed_by(issuer.id());
        self.ari.recall(signed, &certificate).await;
        let is_visited = matches!(wanted.purpose, Purpose::Serve(_));
        if is_served || is_visited || wanted.policy().managed().is_some() {
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
    async fn keep(&self, wanted: Wanted<'_>, issuer: &str, pem: &Pem) {
        let subject = wanted.subject;
        self.failures.forget(subject);
        if !wanted.policy().is_kept() {
            return;
        }
        let stored = self
            .records
            .store_certificate(issuer, subject, pem.as_str())
            .await;
        if stored.is_ok() {
            // Whoever has signed, nobody's order is to be gone on with.
            for issuer in wanted.issuers() {
                issuer.settled(subject).await;
            }
            if let Some(hook) = &wanted.ruling.rules.on_cert {
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
