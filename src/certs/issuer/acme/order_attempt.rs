//! One attempt to obtain a certificate from one CA: its orders, from placing to download (RFC 8555 section 7.1).

use std::sync::Arc;
use std::time::SystemTime;

use rcgen::KeyPair;
use tracing::{debug, info, warn};

use super::super::error::failed_authorizations;
use super::super::{Error, IssueRequest, Pem, Predecessor};
use super::order_record::{OrderRecord, OrderRecords, PlacedOrder};
use super::order_terms::{OrderTerms, Placing};
use super::signing_request::signing_request;
use crate::acme::{self, Account, CertId, Identifier, Order, OrderStatus, Solver};
use crate::certs::certificate::{Certificate, CertificateError};
use crate::pem;

/// Largest number of orders in one attempt.
const MAX_ORDERS: usize = 3;

/// Inputs of one attempt.
pub(super) struct OrderAttempt<'a> {
    pub(super) account: &'a Account,
    pub(super) records: &'a OrderRecords,
    pub(super) terms: &'a OrderTerms,
    pub(super) request: IssueRequest<'a>,
}

/// Order in progress with its key and its record.
struct Placed {
    order: Order,
    key: KeyPair,
    record: OrderRecord,
}

impl OrderAttempt<'_> {
    /// Resumes the order of an earlier process, or places a new one. If a challenge fails, places another order for the
    /// next challenge type. The record of the successful order stays in storage until the caller has stored the
    /// certificate and forgets the order.
    pub(super) async fn run(&self, mut solvers: Vec<Arc<dyn Solver>>) -> Result<Pem, Error> {
        if let Some(pem) = self.resume().await? {
            return Ok(pem);
        }
        let mut failures = Vec::new();
        let mut replaces = self.replaces().await?;
        loop {
            let failure = match self.order(&solvers, &mut replaces).await {
                Err(Error::Acme(failure)) => failure,
                Err(Error::Held(_)) if !failures.is_empty() => return Err(joined(failures)),
                outcome => return outcome,
            };
            solvers.retain(|solver| failure.alternatives().contains(&solver.challenge_type()));
            let is_last = solvers.is_empty() || failures.len() + 1 == MAX_ORDERS;
            if !is_last {
                let failed = failed_authorizations(&failure);
                self.request.charges.spend_failed_authorization(failed);
                warn!(names = %self.request.subject, error = %failure.sentence(), "trying the next challenge type");
            }
            failures.push(failure);
            if is_last {
                return Err(joined(failures));
            }
        }
    }

    /// Places one order, proves its name and downloads the certificate.
    async fn order(
        &self,
        solvers: &[Arc<dyn Solver>],
        replaces: &mut Option<&CertId>,
    ) -> Result<Pem, Error> {
        let identifier = Identifier::of_pattern(self.request.subject).ok_or(Error::NoSubject)?;
        let solvers = prepare(&identifier, solvers).await?;
        let placed = self.place(&identifier, replaces).await?;
        let outcome = self.prove(&placed.order, solvers).await;
        if let Err(failure) = outcome {
            return Err(self.failed(&placed.record, failure).await);
        }
        self.finish(placed).await
    }

    /// Places an order and stores its record at once, so that a later process can resume it.
    async fn place(
        &self,
        identifier: &Identifier,
        replaces: &mut Option<&CertId>,
    ) -> Result<Placed, Error> {
        let key = self.terms.generate_key().await?;
        let placing = Placing {
            account: self.account,
            identifier,
            charges: self.request.charges,
            now: self.now(),
        };
        let order = self.terms.place(placing, replaces).await?;
        let placed = PlacedOrder {
            account: self.account,
            subject: self.request.subject,
            order: &order,
            key: &key,
        };
        match self.records.store(placed, self.now()).await {
            Ok(record) => {
                debug!(names = %self.request.subject, order_url = %order.url(), "order placed");
                Ok(Placed { order, key, record })
            }
            Err(error) => {
                order.abandon(self.account).await;
                Err(error.into())
            }
        }
    }

    /// Returns the certificate that the new one replaces, if this account has ordered it and the CA supports renewal
    /// information (RFC 9773).
    async fn replaces(&self) -> Result<Option<&CertId>, Error> {
        let is_own = |old: &&Predecessor| old.account.as_deref() == Some(self.account.url());
        let Some(old) = self.request.replaces.filter(is_own) else {
            return Ok(None);
        };
        let directory = self.account.client().directory().await?;
        Ok(directory.renewal_info.is_some().then_some(&old.id))
    }

    async fn prove(&self, order: &Order, solvers: &[Arc<dyn Solver>]) -> Result<(), Error> {
        let solvers: Vec<_> = solvers.iter().map(|solver| &**solver).collect();
        order.prove_by_first(self.account, &solvers).await?;
        debug!(names = %self.request.subject, order_url = %order.url(), "order is ready");
        Ok(())
    }

    /// Finalizes an order whose name is proved, and returns chain and key.
    async fn finish(&self, placed: Placed) -> Result<Pem, Error> {
        let Placed {
            mut order,
            key,
            record,
        } = placed;
        match self.collect(&mut order, &key).await {
            Err(failure) => Err(self.failed(&record, failure).await),
            pem => pem,
        }
    }

    async fn collect(&self, order: &mut Order, key: &KeyPair) -> Result<Pem, Error> {
        let csr = signing_request(self.request.subject, key)?;
        order.finalize(self.account, &csr).await?;
        let chain = self.terms.download(order, self.account).await?;
        let (chain, damaged) = pem::readable_certificates(&chain).map_err(CertificateError::Pem)?;
        if damaged > 0 {
            info!(names = %self.request.subject, damaged, "damaged certificates left out of a chain");
        }
        let chain = pem::write_certificates(&chain);
        let pem = Pem::new(&chain, &key.serialize_pem()).ordered_by(self.account.url());
        Ok(pem.downloaded_at(self.account.client().ca_time()))
    }

    /// Resumes the order of an earlier process. Returns `None` if a new order is needed.
    async fn resume(&self) -> Result<Option<Pem>, Error> {
        let Some(record) = self
            .records
            .load(self.request.subject, self.account.url())
            .await?
        else {
            return Ok(None);
        };
        if let Some(placed) = self.find(record).await? {
            let pem = self.finish(placed).await?;
            if !has_expired(&pem, pem.ca_time().unwrap_or_else(|| self.now())) {
                return Ok(Some(pem));
            }
        }
        self.forget().await;
        Ok(None)
    }

    /// Loads the order of a record from the CA. Returns `None` if it cannot be resumed.
    async fn find(&self, record: OrderRecord) -> Result<Option<Placed>, Error> {
        let Some(key) = record.key() else {
            return Ok(None);
        };
        let order = match Order::resume(self.account, record.url().clone()).await {
            Ok(order) => order,
            Err(failure) => {
                let failure = Error::Acme(failure);
                return if record.is_over(&failure, self.now()) {
                    Ok(None)
                } else {
                    Err(failure)
                };
            }
        };
        let status = order.status();
        info!(names = %self.request.subject, order_url = %order.url(), %status, "order of an earlier process found");
        match status {
            OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid => {
                Ok(Some(Placed { order, key, record }))
            }
            OrderStatus::Pending => {
                order.abandon(self.account).await;
                Ok(None)
            }
            OrderStatus::Invalid | OrderStatus::Unknown(_) => Ok(None),
        }
    }

    fn now(&self) -> SystemTime {
        self.request.clock.now()
    }

    /// Forgets the order if it has ended. Otherwise the next attempt resumes it.
    async fn failed(&self, record: &OrderRecord, failure: Error) -> Error {
        if record.is_over(&failure, self.now()) {
            self.forget().await;
        }
        failure
    }

    async fn forget(&self) {
        let account = self.account.url();
        self.records.forget(self.request.subject, account).await;
    }
}

/// Lets solvers do what can fail without an order, and returns them from the first one on that succeeds. If none does,
/// returns the error of the first one.
async fn prepare<'a>(
    identifier: &Identifier,
    solvers: &'a [Arc<dyn Solver>],
) -> Result<&'a [Arc<dyn Solver>], acme::Error> {
    let mut first = None;
    for (index, solver) in solvers.iter().enumerate() {
        let error = match solver.prepare(identifier).await {
            Ok(()) => return Ok(&solvers[index..]),
            Err(source) => acme::Error::Preparation {
                identifier: identifier.clone(),
                source,
            },
        };
        if index + 1 < solvers.len() {
            let kind = solver.challenge_type();
            warn!(names = %identifier, %kind, error = %error.sentence(), "trying the next challenge type");
        }
        first = first.or(Some(error));
    }
    match first {
        Some(error) => Err(error),
        None => Ok(solvers),
    }
}

/// Whether the order is so old that its certificate has expired. The caller checks everything else.
fn has_expired(pem: &Pem, now: SystemTime) -> bool {
    Certificate::from_pem(pem.as_str().as_bytes())
        .is_ok_and(|certificate| certificate.not_after() <= now)
}

fn joined(mut failures: Vec<acme::Error>) -> Error {
    match failures.pop() {
        Some(only) if failures.is_empty() => Error::Acme(only),
        last => Error::Unproved(failures.into_iter().chain(last).collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::acme::{ChallengeType, KeyAuthorization, Presented, SolverError};
    use crate::certs::certificate::TestCa;

    /// Solves nothing, and can be prepared or not.
    struct TestSolver(ChallengeType, bool);

    impl Solver for TestSolver {
        fn challenge_type(&self) -> ChallengeType {
            self.0.clone()
        }

        fn prepare<'a>(&'a self, _: &'a Identifier) -> BoxFuture<'a, Result<(), SolverError>> {
            let dead = || SolverError::new(format!("{} is dead", self.0));
            async move { self.1.then_some(()).ok_or_else(dead) }.boxed()
        }

        fn present<'a>(
            &'a self,
            _: &'a Identifier,
            _: &'a str,
            _: &'a KeyAuthorization,
        ) -> BoxFuture<'a, Result<Presented, SolverError>> {
            async { Err(SolverError::new("not in this test")) }.boxed()
        }
    }

    #[tokio::test]
    async fn a_solver_that_cannot_be_prepared_gives_way_to_the_next() {
        let name = Identifier::Dns("www.example.org".to_owned());
        let (dns, http) = (ChallengeType::Dns01, ChallengeType::Http01);
        for (can_dns, can_http, expected) in [
            (true, true, Ok(vec![dns.clone(), http.clone()])),
            (true, false, Ok(vec![dns.clone(), http.clone()])),
            (false, true, Ok(vec![http.clone()])),
            (false, false, Err("dns-01 is dead")),
        ] {
            let solvers: [Arc<dyn Solver>; 2] = [
                Arc::new(TestSolver(dns.clone(), can_dns)),
                Arc::new(TestSolver(http.clone(), can_http)),
            ];
            let prepared = prepare(&name, &solvers).await;
            match (prepared, expected) {
                (Ok(left), Ok(expected)) => {
                    let left = left.iter().map(|solver| solver.challenge_type());
                    assert_eq!(left.collect::<Vec<_>>(), expected);
                }
                (Err(error), Err(said)) => assert!(error.sentence().contains(said), "{error}"),
                (prepared, expected) => panic!("{} {expected:?}", prepared.is_ok()),
            }
        }
    }

    #[test]
    fn expiry_depends_on_the_given_time() {
        let now = SystemTime::now();
        let pem = Pem::new(&TestCa::new().sign(&["www.example.org"], -60..3600), "");
        assert!(!has_expired(&pem, now));
        assert!(has_expired(&pem, now + Duration::from_secs(7200)));
        assert!(!has_expired(&Pem::new("no chain", ""), now));
    }
}
