//! An order from its placing to the certificate (RFC 8555 section 7.4). It can be entered where it stands, so a process that
//! kept the order's URL goes on after a restart.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use serde_json::json;
use url::Url;

use super::authorization::Authorization;
use super::solver::Solver;
use crate::acme::account::Account;
use crate::acme::client::{Looks, Response};
use crate::acme::error::{Error, Step};
use crate::acme::renewal_info::{CertId, parse_time};
use crate::acme::resource::{Identifier, OrderResource, OrderStatus, ProblemKind};

/// How often the CSR is handed in, where the order says each time that it is still wanted.
const FINALIZE_TRIES: usize = 3;

/// What an order asks for (RFC 8555 section 7.4).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NewOrder<'a> {
    /// What the certificate is for.
    pub identifiers: &'a [Identifier],
    /// One of the profiles of the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<&'a str>,
    /// The certificate whose successor is wanted (RFC 9773 section 5), where the directory has renewal information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<&'a CertId>,
}

impl NewOrder<'_> {
    /// Whether the CA may take the order without its predecessor that it has refused like this (RFC 9773 section 5): a
    /// predecessor must never stand in the way of a certificate. CAs say so in many ways. A limit that is reached would be
    /// reached without it too.
    #[must_use]
    pub fn is_refused_for_predecessor(&self, error: &Error) -> bool {
        let is_limit = error.is(&ProblemKind::RateLimited);
        let is_account = error.is(&ProblemKind::AccountDoesNotExist);
        let is_refusal = error.status().is_some_and(|status| {
            let is_refusal = status.is_client_error() || error.is(&ProblemKind::ServerInternal);
            is_refusal && status != StatusCode::TOO_MANY_REQUESTS
        });
        self.replaces.is_some() && is_refusal && !is_limit && !is_account
    }
}

/// An order as the CA last described it.
#[derive(Clone, Debug)]
pub struct Order {
    url: Url,
    resource: OrderResource,
    retry_after: Option<Duration>,
}

impl Order {
    /// Places an order (RFC 8555 section 7.4). Keep its URL before going on: nothing else gives it back. The CA may answer
    /// with an order that is ready, or even done.
    pub async fn create(account: &Account, identifiers: &[Identifier]) -> Result<Self, Error> {
        let request = NewOrder {
            identifiers,
            profile: None,
            replaces: None,
        };
        Self::place(account, &request).await
    }

    /// Places an order with all that it may ask for, as [`create`](Self::create) does.
    pub async fn place(account: &Account, request: &NewOrder<'_>) -> Result<Self, Error> {
        let response = account.new_order(request).await?;
        let url = Url::parse(&response.location()?).map_err(|_| Error::Header {
            step: Step::NewOrder,
            header: "Location",
        })?;
        Self::from_response(url, &response)
    }

    /// Reads an order that was placed earlier.
    pub async fn resume(account: &Account, url: Url) -> Result<Self, Error> {
        let response = account.read(Step::Order, &url).await?;
        Self::from_response(url, &response)
    }

    fn from_response(url: Url, response: &Response) -> Result<Self, Error> {
        Ok(Self {
            url,
            resource: response.json()?,
            retry_after: response.retry_after(),
        })
    }

    /// Where the order is.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Where the order stood when the CA was last asked.
    #[must_use]
    pub fn status(&self) -> &OrderStatus {
        &self.resource.status
    }

    /// When the CA gives the order up, where it says so.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.resource.expires.as_str().and_then(parse_time)
    }

    /// What the order is for, in the CA's sequence.
    #[must_use]
    pub fn identifiers(&self) -> &[Identifier] {
        &self.resource.identifiers
    }

    /// Proves every name that is not proved yet with one solver; see [`prove_by_first`](Self::prove_by_first).
    pub async fn prove(&self, account: &Account, solver: &dyn Solver) -> Result<(), Error> {
        self.prove_by_first(account, &[solver]).await
    }

    /// Proves every name that is not proved yet, one after the other, each with the first solver whose type the CA offers.
    /// When one fails the rest is given up: a challenge cannot be met twice (RFC 8555 section 7.5.1), another type takes
    /// another order. Dropping the future takes down what the solver has put up.
    pub async fn prove_by_first(
        &self,
        account: &Account,
        solvers: &[&dyn Solver],
    ) -> Result<(), Error> {
        match self.resource.status {
            OrderStatus::Pending => (),
            OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid => return Ok(()),
            OrderStatus::Invalid | OrderStatus::Unknown(_) => return Err(self.failure()),
        }
        let mut authorizations = self.resource.authorizations.iter();
        while let Some(url) = authorizations.next() {
            let authorization = Authorization { account, url };
            let Err(error) = Box::pin(authorization.prove(solvers)).await else {
                continue;
            };
            if !error.is_transient() {
                let is_open = !matches!(error, Error::Authorization { .. });
                let open = is_open.then_some(url).into_iter().chain(authorizations);
                for url in open {
                    Authorization { account, url }.give_up().await;
                }
            }
            return Err(error);
        }
        Ok(())
    }

    /// Gives up what is not proved yet of an order that nobody goes on with, so that it does not count as pending (RFC 8555
    /// section 7.5.2). Whether it works does not matter.
    pub async fn give_up(&self, account: &Account) {
        if self.resource.status != OrderStatus::Pending {
            return;
        }
        for url in &self.resource.authorizations {
            Authorization { account, url }.give_up().await;
        }
    }

    /// Hands in the CSR (DER) and waits until the certificate is made (RFC 8555 section 7.4). An order that is processing or
    /// valid is only waited for; its certificate is for the CSR that it has.
    pub async fn finalize(&mut self, account: &Account, csr: &[u8]) -> Result<(), Error> {
        let mut looks = Looks::quick(account.client().options().finalize_timeout);
        let mut tries = 1;
        loop {
            let doubt = match self.resource.status {
                OrderStatus::Pending | OrderStatus::Ready => self.hand_in(account, csr).await?,
                _ => None,
            };
            let is_wanted = self.settle(account, &mut looks, doubt.is_some()).await?;
            match doubt {
                Some(error) if is_wanted && tries == FINALIZE_TRIES => return Err(error),
                Some(_) if is_wanted => tries += 1,
                _ => return Ok(()),
            }
        }
    }

    /// Sends the CSR. What is returned leaves in doubt whether the CA has taken it: the order itself tells.
    async fn hand_in(&mut self, account: &Account, csr: &[u8]) -> Result<Option<Error>, Error> {
        let request = json!({ "csr": URL_SAFE_NO_PAD.encode(csr) });
        let answer = account
            .write(Step::Finalize, &self.resource.finalize, &request)
            .await;
        match answer {
            Ok(response) => {
                self.resource = response.json()?;
                self.retry_after = response.retry_after();
                Ok(None)
            }
            Err(error) if leaves_doubt(&error) && !error.names_its_time() => {
                tracing::debug!(order = %self.url, %error, "the order is read to see where it stands");
                self.resource.status = OrderStatus::Pending;
                self.retry_after = error.retry_after();
                Ok(Some(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Polls until the order is valid; where the CA may not have the CSR, also until it asks for it, which is returned. The
    /// answer of finalize itself is looked at first.
    async fn settle(
        &mut self,
        account: &Account,
        looks: &mut Looks,
        in_doubt: bool,
    ) -> Result<bool, Error> {
        loop {
            match self.resource.status {
                OrderStatus::Valid => return Ok(false),
                OrderStatus::Ready if in_doubt => return Ok(true),
                OrderStatus::Invalid | OrderStatus::Unknown(_) => return Err(self.failure()),
                OrderStatus::Pending | OrderStatus::Ready | OrderStatus::Processing => (),
            }
            if !looks.next(self.retry_after.take()).await {
                let limit = looks.limit();
                return Err(Error::OrderTimeout { limit });
            }
            match account.read(Step::Order, &self.url).await {
                Ok(response) => *self = Self::from_response(self.url.clone(), &response)?,
                Err(error) if error.is_transient() && !error.names_its_time() => {
                    self.retry_after = error.retry_after();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Downloads the chain of a valid order (RFC 8555 section 7.4.2): PEM, the leaf first. Whether it is the right one is for
    /// the caller to verify.
    pub async fn certificate(&self, account: &Account) -> Result<Vec<u8>, Error> {
        self.download(account).await.map(|response| response.body)
    }

    /// The answer that holds the chain.
    pub(in crate::acme) async fn download(&self, account: &Account) -> Result<Response, Error> {
        let url = self
            .resource
            .certificate
            .as_ref()
            .ok_or(Error::NoCertificate)?;
        let response = account.read(Step::Certificate, url).await?;
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(&response.body) {
            certificate.map_err(|source| Error::Chain(Some(source)))?;
            count += 1;
        }
        match count {
            0 => Err(Error::Chain(None)),
            _ => Ok(response),
        }
    }

    fn failure(&self) -> Error {
        Error::OrderStatus {
            status: self.resource.status.clone(),
            problem: self.resource.error.clone(),
        }
    }
}

/// Whether the order must be read to know where it stands. A CA that was not reached may be back in time.
fn leaves_doubt(error: &Error) -> bool {
    let not_reached = matches!(error, Error::Connect { .. });
    not_reached || error.is_ambiguous() || error.is(&ProblemKind::OrderNotReady)
}
