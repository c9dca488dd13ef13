//! The way from a wanted name to its certificate at one CA (RFC 8555 section 7.1).

use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tracing::warn;

use super::super::{Error, Pem};
use crate::acme::{self, Account, Identifier, Order, Solver};
use crate::name::HostPattern;

/// How many orders one attempt may place.
const MAX_ORDERS: usize = 3;

/// The orders of one attempt to get a certificate for `subject`.
pub(super) struct OrderPath<'a> {
    pub(super) account: &'a Account,
    pub(super) subject: &'a HostPattern,
}

impl OrderPath<'_> {
    /// Places an order, and where the CA finds fault with a challenge another one for the next type.
    pub(super) async fn run(&self, mut solvers: Vec<Arc<dyn Solver>>) -> Result<Pem, Error> {
        let mut failures = Vec::new();
        loop {
            let failure = match self.order(&solvers).await {
                Err(Error::Acme(failure)) => failure,
                outcome => return outcome,
            };
            solvers.retain(|solver| failure.alternatives().contains(&solver.challenge_type()));
            let is_last = solvers.is_empty() || failures.len() + 1 == MAX_ORDERS;
            if !is_last {
                warn!(names = %self.subject, error = %failure.sentence(), "the next type of challenge is tried");
            }
            failures.push(failure);
            if is_last {
                return Err(joined(failures));
            }
        }
    }

    /// One order: authorizations, CSR, certificate.
    async fn order(&self, solvers: &[Arc<dyn Solver>]) -> Result<Pem, Error> {
        let (mut order, key) = self.place().await?;
        let solvers: Vec<_> = solvers.iter().map(|solver| &**solver).collect();
        order.prove_by_first(self.account, &solvers).await?;
        self.finish(&mut order, &key).await
    }

    async fn place(&self) -> Result<(Order, KeyPair), Error> {
        let identifier = Identifier::of_pattern(self.subject).ok_or(Error::NoSubject)?;
        let key = KeyPair::generate()?;
        let order = Order::create(self.account, &[identifier]).await?;
        Ok((order, key))
    }

    /// From an order whose names are proved to chain and key.
    async fn finish(&self, order: &mut Order, key: &KeyPair) -> Result<Pem, Error> {
        let csr = signing_request(self.subject, key)?;
        order.finalize(self.account, &csr).await?;
        let chain = order.certificate(self.account).await?;
        let chain = String::from_utf8(chain).map_err(|_| Error::NotText)?;
        Ok(Pem::new(&chain, &key.serialize_pem()))
    }
}

fn joined(mut failures: Vec<acme::Error>) -> Error {
    match failures.pop() {
        Some(only) if failures.is_empty() => Error::Acme(only),
        last => Error::Unproved(failures.into_iter().chain(last).collect()),
    }
}

/// A CSR for exactly `subject`, without a subject name (RFC 8555 section 7.4).
fn signing_request(subject: &HostPattern, key: &KeyPair) -> Result<Vec<u8>, Error> {
    let mut params = CertificateParams::new(vec![subject.to_string()])?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}
