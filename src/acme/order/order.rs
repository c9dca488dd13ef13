//! An order, from its placing to the certificate (RFC 8555 section 7.4). A process that has stored the order's URL can
//! resume it after a restart.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde::Serialize;
use serde::de::Error as _;
use serde_json::json;
use url::Url;

use super::authorization::Authorization;
use super::solver::Solver;
use crate::acme::account::Account;
use crate::acme::client::{Polls, Response};
use crate::acme::error::{Error, Step};
use crate::acme::renewal_info::{CertId, parse_time};
use crate::acme::resource::{Identifier, OrderResource, OrderStatus, ProblemKind};
use crate::pem;

/// Most submissions of the CSR, if the order still asks for it after each of them.
const FINALIZE_TRIES: usize = 3;

/// The content of a new order (RFC 8555 section 7.4).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NewOrder<'a> {
    /// The names and addresses for the certificate.
    pub identifiers: &'a [Identifier],
    /// The certificate profile, one of those in the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<&'a str>,
    /// The certificate that the new one replaces (RFC 9773 section 5), if the directory has renewal information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<&'a CertId>,
}

impl NewOrder<'_> {
    /// `true` if the CA may accept the refused order without `replaces` (RFC 9773 section 5), which must never prevent a
    /// certificate. CAs report that in many ways. A reached limit would also be reached without it.
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

/// An order in the state that the CA last reported.
#[derive(Clone, Debug)]
pub struct Order {
    url: Url,
    resource: OrderResource,
    retry_after: Option<Duration>,
}

impl Order {
    /// Places an order (RFC 8555 section 7.4). Store its URL first, since there is no other way to find the order again. The
    /// CA may answer with an order that is ready or even valid.
    pub async fn create(account: &Account, identifiers: &[Identifier]) -> Result<Self, Error> {
        let request = NewOrder {
            identifiers,
            profile: None,
            replaces: None,
        };
        Self::place(account, &request).await
    }

    /// Places an order with a profile or a predecessor; else like [`create`](Self::create).
    pub async fn place(account: &Account, request: &NewOrder<'_>) -> Result<Self, Error> {
        let response = account.new_order(request).await?;
        let url = Url::parse(&response.location()?).map_err(|_| Error::Header {
            step: Step::NewOrder,
            header: "Location",
        })?;
        let asked = OrderResource {
            identifiers: request.identifiers.to_vec(),
            ..OrderResource::default()
        };
        Self::from_response(url, &response, &asked)
    }

    /// Reads an order that was placed earlier.
    pub async fn resume(account: &Account, url: Url) -> Result<Self, Error> {
        let response = account.read(Step::Order, &url).await?;
        Self::from_response(url, &response, &OrderResource::default())
    }

    fn from_response(url: Url, response: &Response, known: &OrderResource) -> Result<Self, Error> {
        let resource: OrderResource = response.json()?;
        Ok(Self {
            url,
            resource: resource.completed_from(known),
            retry_after: response.retry_after(),
        })
    }

    /// Returns the order's URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the status that the CA last reported.
    #[must_use]
    pub fn status(&self) -> &OrderStatus {
        self.resource.status()
    }

    /// Returns the time at which the order expires, if the CA has told it.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.resource.expires.as_str().and_then(parse_time)
    }

    /// Returns the order's identifiers, in the CA's order.
    #[must_use]
    pub fn identifiers(&self) -> &[Identifier] {
        &self.resource.identifiers
    }

    /// Solves the challenges of all names that are not authorized yet, with one solver; see
    /// [`prove_by_first`](Self::prove_by_first).
    pub async fn prove(&self, account: &Account, solver: &dyn Solver) -> Result<(), Error> {
        self.prove_by_first(account, &[solver]).await
    }

    /// Solves the challenges of all names that are not authorized yet, one after the other, each with the first solver whose
    /// type the CA offers. After a failure, the rest is given up: a challenge cannot be tried twice (RFC 8555 section
    /// 7.5.1), and another type needs another order. Dropping the future removes the presented challenge.
    pub async fn prove_by_first(
        &self,
        account: &Account,
        solvers: &[&dyn Solver],
    ) -> Result<(), Error> {
        match self.status() {
            OrderStatus::Pending => (),
            OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid => return Ok(()),
            OrderStatus::Invalid | OrderStatus::Unknown(_) => return Err(self.failure()),
        }
        let mut authorizations = self.resource.authorizations.iter();
        while let Some(url) = authorizations.next() {
            let authorization = self.authorization(account, url);
            let Err(error) = Box::pin(authorization.prove(solvers)).await else {
                continue;
            };
            if !error.is_transient() {
                let is_open = !matches!(error, Error::Authorization { .. });
                let open = is_open.then_some(url).into_iter().chain(authorizations);
                for url in open {
                    self.authorization(account, url).abandon().await;
                }
            }
            return Err(error);
        }
        Ok(())
    }

    /// Returns the authorization at `url`. In an order for one identifier, it is for that one even if the CA does not say so.
    fn authorization<'a>(&'a self, account: &'a Account, url: &'a Url) -> Authorization<'a> {
        let identifier = match self.identifiers() {
            [only] => Some(only),
            _ => None,
        };
        Authorization {
            account,
            url,
            identifier,
        }
    }

    /// Deactivates the pending authorizations of an abandoned order, so that they do not count as pending (RFC 8555 section
    /// 7.5.2). Errors do not matter.
    pub async fn abandon(&self, account: &Account) {
        if *self.status() != OrderStatus::Pending {
            return;
        }
        for url in &self.resource.authorizations {
            self.authorization(account, url).abandon().await;
        }
    }

    /// Submits the CSR (DER) and waits until the certificate is issued (RFC 8555 section 7.4). If the order is processing or
    /// valid, it has a CSR already and only the wait is left.
    pub async fn finalize(&mut self, account: &Account, csr: &[u8]) -> Result<(), Error> {
        let mut polls = Polls::quick(account.client().options().finalize_timeout);
        let mut tries = 1;
        loop {
            let doubt = match self.status() {
                OrderStatus::Pending | OrderStatus::Ready => self.hand_in(account, csr).await?,
                _ => None,
            };
            let is_wanted = self.settle(account, &mut polls, doubt.is_some()).await?;
            match doubt {
                Some(error) if is_wanted && tries == FINALIZE_TRIES => return Err(error),
                Some(_) if is_wanted => tries += 1,
                _ => return Ok(()),
            }
        }
    }

    /// Sends the CSR. An error that is returned as a value leaves open whether the CA has accepted it, which the order
    /// itself shows.
    async fn hand_in(&mut self, account: &Account, csr: &[u8]) -> Result<Option<Error>, Error> {
        let request = json!({ "csr": URL_SAFE_NO_PAD.encode(csr) });
        let url = self
            .resource
            .finalize
            .as_deref()
            .ok_or_else(|| Error::Json {
                step: Step::Finalize,
                source: serde_json::Error::custom("the order has no `finalize` URL"),
            })?;
        match account.write(Step::Finalize, url, &request).await {
            Ok(response) => {
                let answer = response.json::<OrderResource>();
                let (resource, doubt) = match answer {
                    Ok(resource) => (resource, None),
                    Err(error) => (OrderResource::default(), Some(error)),
                };
                self.resource = resource.completed_from(&self.resource);
                self.retry_after = response.retry_after();
                Ok(doubt)
            }
            Err(error) if leaves_doubt(&error) && !error.has_long_retry_after() => {
                tracing::debug!(order = %self.url, %error, "reading the order to see whether it was accepted");
                self.resource.status = Some(OrderStatus::Pending);
                self.retry_after = error.retry_after();
                Ok(Some(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Polls until the order is valid, starting with the response of finalize itself. If the CA may not have the CSR,
    /// polling also ends when the order asks for it again.
    async fn settle(
        &mut self,
        account: &Account,
        polls: &mut Polls,
        in_doubt: bool,
    ) -> Result<bool, Error> {
        loop {
            match self.status() {
                OrderStatus::Valid => return Ok(false),
                OrderStatus::Ready if in_doubt => return Ok(true),
                OrderStatus::Invalid | OrderStatus::Unknown(_) => return Err(self.failure()),
                OrderStatus::Pending | OrderStatus::Ready | OrderStatus::Processing => (),
            }
            if !polls.next(self.retry_after.take()).await {
                let limit = polls.limit();
                return Err(Error::OrderTimeout { limit });
            }
            match account.read(Step::Order, &self.url).await {
                Ok(response) => {
                    *self = Self::from_response(self.url.clone(), &response, &self.resource)?;
                }
                Err(error) if error.is_transient() && !error.has_long_retry_after() => {
                    self.retry_after = error.retry_after();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Downloads the chain of a valid order (RFC 8555 section 7.4.2): PEM, leaf first. The caller must verify that it is the
    /// right one.
    pub async fn certificate(&self, account: &Account) -> Result<Vec<u8>, Error> {
        self.download(account).await.map(|response| response.body)
    }

    /// Downloads the response with the chain.
    pub(in crate::acme) async fn download(&self, account: &Account) -> Result<Response, Error> {
        let url = self
            .resource
            .certificate
            .as_ref()
            .ok_or(Error::NoCertificate)?;
        let response = account.read(Step::Certificate, url).await?;
        pem::readable_certificates(&response.body).map_err(Error::Chain)?;
        Ok(response)
    }

    fn failure(&self) -> Error {
        Error::OrderStatus {
            status: self.status().clone(),
            problem: self.resource.error.clone(),
        }
    }
}

/// `true` if only the order itself shows whether the CSR was accepted. A CA that was not reached may be back in time.
fn leaves_doubt(error: &Error) -> bool {
    let not_reached = matches!(error, Error::Connect { .. });
    not_reached || error.is_ambiguous() || error.is(&ProblemKind::OrderNotReady)
}
