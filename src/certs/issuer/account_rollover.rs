//! New keys for the accounts at all CAs.

use std::sync::Arc;

use super::contract::Issuer;
use super::error::Error;

/// Reason why the key of an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RolloverError {
    /// No account is configured.
    #[error("no issuer has an account")]
    NoAccount,
    /// The CA refused or failed.
    #[error("{0}")]
    Issuer(Box<Error>),
}

/// Gives the account at each CA a new key. Returns the names of the issuers that have an account.
pub async fn roll_account_keys(issuers: &[Arc<dyn Issuer>]) -> Result<Vec<String>, RolloverError> {
    let mut rolled = Vec::new();
    for issuer in issuers {
        match issuer.roll_account_key().await {
            Ok(()) => rolled.push(issuer.name().to_owned()),
            Err(Error::NoAccount { .. }) => {}
            Err(error) => return Err(RolloverError::Issuer(Box::new(error))),
        }
    }
    if rolled.is_empty() {
        Err(RolloverError::NoAccount)
    } else {
        Ok(rolled)
    }
}
