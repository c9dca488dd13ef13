//! An account at a CA (RFC 8555 section 7.3): registered once, found again by its key, and the signer of all later requests.

use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde_json::json;
use url::Url;

use crate::acme::client::{Call, Client, Repeat, Response};
use crate::acme::error::{Error, Step};
use crate::acme::jws::{AccountKey, Jws, Signer};
use crate::acme::resource::{AccountResource, ProblemKind, Service};

/// An account that the CA knows.
#[derive(Debug)]
pub struct Account {
    client: Arc<Client>,
    key: AccountKey,
    url: String,
    orders_url: Option<Url>,
    issuer_domain: OnceLock<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewAccount<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    contact: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    terms_of_service_agreed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    only_return_existing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_account_binding: Option<Jws>,
}

impl Account {
    /// Registers the key and agrees to the CA's terms (RFC 8555 section 7.3). `contact` holds URLs such as
    /// `mailto:ops@example.org`. The client's external account is bound to the new one. If the CA knows the key already, it
    /// answers with the existing account and leaves its contact unchanged. Store the key before this call and the URL after
    /// it.
    pub async fn register(
        client: Arc<Client>,
        key: AccountKey,
        contact: &[String],
    ) -> Result<Self, Error> {
        let binding = match &client.options().external_account {
            Some(external) => {
                let service = client.url_of(Service::Account).await?;
                Some(external.bind(&key, &service.url)?)
            }
            None => None,
        };
        let request = NewAccount {
            contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
            external_account_binding: binding,
        };
        let response = new_account(&client, &key, &request).await;
        let response = response.map_err(|refusal| match &client.options().external_account {
            Some(external) => external.explain(refusal),
            None => refusal,
        })?;
        Self::from_response(client, key, &response)
    }

    /// Finds the account of a key without registering one (RFC 8555 section 7.3.1).
    pub async fn find(client: Arc<Client>, key: AccountKey) -> Result<Option<Self>, Error> {
        let request = NewAccount {
            contact: &[],
            terms_of_service_agreed: false,
            only_return_existing: true,
            external_account_binding: None,
        };
        match new_account(&client, &key, &request).await {
            Ok(response) => Self::from_response(client, key, &response).map(Some),
            Err(error) if error.is(&ProblemKind::AccountDoesNotExist) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Restores a stored account. Sends no request.
    #[must_use]
    pub fn restore(
        client: Arc<Client>,
        key: AccountKey,
        url: String,
        orders_url: Option<Url>,
    ) -> Self {
        Self {
            client,
            key,
            url,
            orders_url,
            issuer_domain: OnceLock::new(),
        }
    }

    fn from_response(
        client: Arc<Client>,
        key: AccountKey,
        response: &Response,
    ) -> Result<Self, Error> {
        let url = response.location()?;
        // Some CAs send no account at all. Only its URL is needed, which is in the header.
        let account: AccountResource = response.json().unwrap_or_default();
        let orders_url = account.orders.map(|orders| orders.into_url());
        Ok(Self::restore(client, key, url, orders_url))
    }

    /// Returns the account's URL exactly as the CA wrote it, which is the `kid` of every request.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the URL of the account's list of orders (RFC 8555 section 7.1.2.1). Many CAs have none.
    #[must_use]
    pub fn orders_url(&self) -> Option<&Url> {
        self.orders_url.as_ref()
    }

    /// Returns the CA's name in persistent TXT records, once a challenge of this account has told it.
    #[must_use]
    pub fn issuer_domain(&self) -> Option<&str> {
        self.issuer_domain.get().map(String::as_str)
    }

    pub(in crate::acme) fn learn_issuer_domain(&self, domain: &str) {
        self.issuer_domain.get_or_init(|| domain.to_owned());
    }

    /// Returns the account's key.
    #[must_use]
    pub fn key(&self) -> &AccountKey {
        &self.key
    }

    /// Returns the client of the account's CA.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Asks the CA for the account's contact. Fails unless the CA knows the account by its key.
    pub async fn contact(&self) -> Result<Vec<String>, Error> {
        let url = self.resource()?;
        let account: Option<AccountResource> = self.read(Step::Account, &url).await?.json()?;
        Ok(account.unwrap_or_default().contact)
    }

    /// Replaces the contact (RFC 8555 section 7.3.2). An empty list clears it.
    pub async fn update_contact(&self, contact: &[String]) -> Result<(), Error> {
        let url = self.resource()?;
        let request = json!({ "contact": contact });
        self.write(Step::Account, &url, &request).await.map(|_| ())
    }

    fn resource(&self) -> Result<Url, Error> {
        Url::parse(&self.url).map_err(|_| Error::Header {
            step: Step::NewAccount,
            header: "Location",
        })
    }

    /// Reads a resource of the account (POST-as-GET, RFC 8555 section 6.3).
    pub(in crate::acme) async fn read(&self, step: Step, url: &Url) -> Result<Response, Error> {
        let call = self.call(step, b"", Repeat::Safe);
        self.client.post(&call, url).await
    }

    /// Sends a request that changes something. It is never repeated.
    pub(in crate::acme) async fn write<T: Serialize>(
        &self,
        step: Step,
        url: &Url,
        request: &T,
    ) -> Result<Response, Error> {
        let payload = payload(request);
        let call = self.call(step, &payload, Repeat::Never);
        self.client.post(&call, url).await
    }

    /// Places an order. The request is never repeated.
    pub(in crate::acme) async fn new_order<T: Serialize>(
        &self,
        request: &T,
    ) -> Result<Response, Error> {
        let payload = payload(request);
        let call = self.call(Step::NewOrder, &payload, Repeat::Never);
        self.client.post_service(&call, Service::Order).await
    }

    fn call<'a>(&'a self, step: Step, payload: &'a [u8], repeat: Repeat) -> Call<'a> {
        Call {
            step,
            signer: Signer::by_account(&self.key, &self.url),
            payload,
            repeat,
        }
    }
}

/// Sends a new-account request. Two of them lead to the same account, so a request with a lost response is repeated.
async fn new_account(
    client: &Client,
    key: &AccountKey,
    request: &NewAccount<'_>,
) -> Result<Response, Error> {
    let payload = payload(request);
    let call = Call {
        step: Step::NewAccount,
        signer: Signer::by_key(key),
        payload: &payload,
        repeat: Repeat::Safe,
    };
    client.post_service(&call, Service::Account).await
}

fn payload<T: Serialize>(request: &T) -> Vec<u8> {
    serde_json::to_vec(request).expect("requests are made of texts and lists only")
}
