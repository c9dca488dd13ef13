//! Replaces the key of an account (RFC 8555 section 7.3.5), and checks that the CA has done so.

use std::sync::Arc;

use serde::Serialize;

use super::account::Account;
use crate::acme::error::{Error, Step};
use crate::acme::jws::{AccountKey, Header, Jwk, Jws};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyChange<'a> {
    account: &'a str,
    old_key: Jwk,
}

impl Account {
    /// Replaces the account's key by `new`, and returns the account with it. Store `new` before this call. After an error,
    /// only [`find`](Self::find) with each key shows which one the CA knows.
    pub async fn change_key(&self, new: AccountKey) -> Result<Self, Error> {
        let directory = self.client().directory().await?;
        let url = directory.key_change.as_ref().ok_or(Error::NoService {
            service: "keyChange",
        })?;
        let header = Header {
            alg: "ES256",
            jwk: Some(new.jwk()),
            kid: None,
            nonce: None,
            url: url.as_str(),
        };
        let change = KeyChange {
            account: self.url(),
            old_key: self.key().jwk(),
        };
        let payload = serde_json::to_vec(&change).expect("texts always become JSON");
        let inner = Jws::new(&header, &payload, |message| new.sign(message))?;
        self.write(Step::KeyChange, url, &inner).await?;
        let orders = self.orders_url().cloned();
        let account = Self::restore(
            Arc::clone(self.client()),
            new,
            self.url().to_owned(),
            orders,
        );
        // Some CAs report success without changing anything.
        account.contact().await?;
        Ok(account)
    }
}
