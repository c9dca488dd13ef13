//! The issuers of a name, asked one after the other until one signs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dashmap::DashMap;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Certificate;
use super::issuer::{Error, IssueRequest, Issuer, Pem};
use crate::acme::Blame;
use crate::name::HostPattern;

/// A certificate with who has signed it.
#[derive(Debug)]
pub(super) struct Issued<'a> {
    pub(super) issuer: &'a dyn Issuer,
    pub(super) certificate: Arc<Certificate>,
    pub(super) pem: Pem,
}

/// Asks issuers, and remembers which of them want to be left alone about a name while others are
/// asked.
#[derive(Debug, Default)]
pub(super) struct Issuance {
    resting: DashMap<(String, HostPattern), Instant>,
}

impl Issuance {
    /// Asks one issuer after the other, as long as they fail for reasons of their own. A `rehearsal`
    /// goes to the staging twin of each first, whose certificate is thrown away.
    pub(super) async fn run<'a>(
        &self,
        issuers: &'a [Arc<dyn Issuer>],
        request: IssueRequest<'_>,
        rehearsal: bool,
    ) -> Result<Issued<'a>, Error> {
        let mut failures = Vec::new();
        for (index, issuer) in issuers.iter().enumerate() {
            let error = match self.ask(issuer.as_ref(), request, rehearsal).await {
                Ok(issued) => return Ok(issued),
                Err(error) => error,
            };
            let is_own = matches!(error.blame(), Blame::Ca | Blame::CaForName);
            if is_own && let Some(next) = issuers.get(index + 1) {
                warn!(
                    names = %request.subject, issuer = issuer.id(), next = next.id(), %error,
                    "issuer failed, the next one is tried"
                );
                self.rest(issuer.id(), request.subject, error.retry_after());
            } else if issuers.len() > 1 {
                self.rest(issuer.id(), request.subject, error.retry_after());
            }
            failures.push((issuer.id().to_owned(), error));
            if !is_own {
                break;
            }
        }
        Err(Error::of_all(failures))
    }

    async fn ask<'a>(
        &self,
        issuer: &'a dyn Issuer,
        request: IssueRequest<'_>,
        rehearsal: bool,
    ) -> Result<Issued<'a>, Error> {
        if let Some(wait) = self.wait(issuer.id(), request.subject) {
            return Err(Error::Resting { wait });
        }
        if rehearsal && let Some(staging) = issuer.staging() {
            rehearse(staging, request).await?;
        }
        issue(issuer, request).await
    }

    /// How long an issuer still wants to be left alone about a name.
    fn wait(&self, issuer: &str, subject: &HostPattern) -> Option<Duration> {
        let key = (issuer.to_owned(), subject.clone());
        let until = *self.resting.get(&key)?;
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            self.resting.remove(&key);
            return None;
        }
        Some(wait)
    }

    fn rest(&self, issuer: &str, subject: &HostPattern, wait: Option<Duration>) {
        let Some(wait) = wait else { return };
        let key = (issuer.to_owned(), subject.clone());
        self.resting.insert(key, Instant::now() + wait);
    }
}

/// An order at a staging CA. That this CA itself fails says nothing about the real one.
async fn rehearse(staging: &dyn Issuer, request: IssueRequest<'_>) -> Result<(), Error> {
    match issue(staging, request).await {
        Ok(_) => info!(
            names = %request.subject, issuer = staging.id(),
            "the order would succeed, it is placed for real"
        ),
        Err(error) if error.blame() == Blame::Ca => warn!(
            names = %request.subject, issuer = staging.id(), %error,
            "the order cannot be rehearsed, it is placed for real"
        ),
        Err(error) => return Err(error),
    }
    Ok(())
}

async fn issue<'a>(issuer: &'a dyn Issuer, request: IssueRequest<'_>) -> Result<Issued<'a>, Error> {
    let subject = request.subject;
    info!(names = %subject, issuer = issuer.id(), "certificate is being obtained");
    let pem = issuer.issue(request).await?;
    let certificate = Certificate::from_pem(pem.as_str().as_bytes())?;
    certificate.verify_for(subject, SystemTime::now())?;
    Ok(Issued {
        issuer,
        certificate: Arc::new(certificate),
        pem,
    })
}
