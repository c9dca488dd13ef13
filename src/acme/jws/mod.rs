//! Keys, nonces and signed requests.

mod account_key;
mod certificate_key;
mod external_account;
mod jwk;
mod jws;
mod nonce;

pub use account_key::AccountKey;
pub use certificate_key::CertificateKey;
pub use external_account::ExternalAccount;

pub(super) use jwk::Jwk;
pub(super) use jws::{Header, Jws, Signer};
pub(super) use nonce::{Nonce, NoncePool};
