//! Keys, nonces and signed requests.

mod account_key;
mod external_account;
mod jwk;
mod jws;
mod nonce;
mod revocation_key;

pub use account_key::AccountKey;
pub use external_account::ExternalAccount;
pub use revocation_key::CertificateKey;

pub(super) use jwk::Jwk;
pub(super) use jws::{Header, Jws, Signer};
pub(super) use nonce::{Nonce, NoncePool};
