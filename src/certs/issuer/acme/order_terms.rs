//! Terms of the orders of one issuer: key type, profile and chain.

use std::time::SystemTime;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize};
use tracing::info;

use super::super::Error;
use crate::acme::{self, Account, CertId, Identifier, NewOrder, Order, ProblemKind};
use crate::certs::budget::AttemptCharges;
use crate::certs::issuer::acme_options::KeyType;

/// Profile under which public CAs sign IP addresses.
const ADDRESS_PROFILE: &str = "shortlived";

/// Terms of all orders of one issuer.
#[derive(Clone, Debug, Default)]
pub(super) struct OrderTerms {
    pub(super) key_type: KeyType,
    pub(super) profile: Option<String>,
    pub(super) preferred_chain: Option<String>,
}

/// Order to be placed, with its account and its budget.
#[derive(Clone, Copy)]
pub(super) struct Placing<'a> {
    pub(super) account: &'a Account,
    pub(super) identifier: &'a Identifier,
    pub(super) charges: &'a AttemptCharges,
    pub(super) now: SystemTime,
}

impl OrderTerms {
    /// Generates a key. RSA keys take seconds, so they are generated on a blocking thread.
    pub(super) async fn generate_key(&self) -> Result<KeyPair, Error> {
        let size = match self.key_type {
            KeyType::P256 => return Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?),
            KeyType::P384 => return Ok(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?),
            KeyType::Rsa2048 => RsaKeySize::_2048,
            KeyType::Rsa4096 => RsaKeySize::_4096,
        };
        let generate = move || KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size);
        let generated = tokio::task::spawn_blocking(generate).await;
        Ok(generated.map_err(|_| Error::Interrupted)??)
    }

    /// Places an order with the matching profile. Names the certificate that it replaces, if any; if the CA refuses the
    /// order because of that, places it again without. Charges the budget before each request.
    pub(super) async fn place(
        &self,
        placing: Placing<'_>,
        replaces: &mut Option<&CertId>,
    ) -> Result<Order, Error> {
        let placed = self.try_place(placing, replaces).await;
        match (placed, &self.profile) {
            (Err(Error::Acme(refusal)), Some(wanted)) if is_about_profile(&refusal) => {
                let directory = placing.account.client().directory().await?;
                let offered = directory.meta.profiles.keys();
                Err(Error::ProfileRefused {
                    others: offered.filter(|it| *it != wanted).cloned().collect(),
                    wanted: wanted.clone(),
                    refusal: Box::new(refusal),
                })
            }
            (placed, _) => placed,
        }
    }

    async fn try_place(
        &self,
        placing: Placing<'_>,
        replaces: &mut Option<&CertId>,
    ) -> Result<Order, Error> {
        let Placing {
            account,
            identifier,
            charges,
            now,
        } = placing;
        let profile = self.profile(account, identifier).await?;
        let request = NewOrder {
            identifiers: std::slice::from_ref(identifier),
            profile: profile.as_deref(),
            replaces: *replaces,
        };
        charges.order(now).await?;
        match Order::place(account, &request).await {
            Err(error) if request.is_refused_for_predecessor(&error) => {
                info!(?identifier, %error, "placing the order without `replaces`");
                *replaces = None;
                charges.order_without_predecessor(now).await?;
                let request = NewOrder {
                    replaces: None,
                    ..request
                };
                Ok(Order::place(account, &request).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Returns the profile for an order. A configured profile must be offered by the CA. Without one, an IP address gets
    /// the profile that public CAs require for addresses, if it is offered.
    pub(super) async fn profile(
        &self,
        account: &Account,
        identifier: &Identifier,
    ) -> Result<Option<String>, Error> {
        let directory = account.client().directory().await?;
        let offered = &directory.meta.profiles;
        match &self.profile {
            Some(wanted) if offered.contains_key(wanted) => Ok(Some(wanted.clone())),
            Some(wanted) => Err(Error::Profile {
                wanted: wanted.clone(),
                offered: offered.keys().cloned().collect(),
            }),
            None => Ok((matches!(identifier, Identifier::Ip(_))
                && offered.contains_key(ADDRESS_PROFILE))
            .then(|| ADDRESS_PROFILE.to_owned())),
        }
    }

    /// Downloads the chain of a valid order: the preferred one if the CA has it.
    pub(super) async fn download(
        &self,
        order: &Order,
        account: &Account,
    ) -> Result<Vec<u8>, Error> {
        Ok(match &self.preferred_chain {
            Some(name) => order.certificate_issued_by(account, name).await?,
            None => order.certificate(account).await?,
        })
    }
}

/// Whether the CA refused the order because of its profile. Some CAs have a problem type for this, others only mention it
/// in the details.
fn is_about_profile(refusal: &acme::Error) -> bool {
    refusal.problem().is_some_and(|problem| match problem.kind {
        ProblemKind::InvalidProfile => true,
        ProblemKind::Malformed | ProblemKind::Unauthorized => {
            problem.details().to_lowercase().contains("profile")
        }
        _ => false,
    })
}
