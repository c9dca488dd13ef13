//! The keys of QUIC that outlive a connection: for connection ids, stateless resets and address validation. All are derived from
//! one secret, so that processes with the same secret continue each other.

use std::sync::Arc;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use aws_lc_rs::rand;

use super::connection_ids::ConnectionIds;

/// Keys for all endpoints of a process.
#[derive(Clone)]
pub struct QuicKeys(Prk);

/// Length of a derived key.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

impl QuicKeys {
    /// Bytes of a secret.
    pub const SECRET_LEN: usize = 32;

    /// Derives the keys from a secret.
    #[must_use]
    pub fn from_secret(secret: &[u8; Self::SECRET_LEN]) -> Self {
        Self(Salt::new(HKDF_SHA256, b"proxy quic").extract(secret))
    }

    /// Makes new keys, which no other process has.
    #[must_use]
    pub fn random() -> Self {
        Self::from_secret(&Self::new_secret())
    }

    /// Makes a new secret.
    #[must_use]
    pub fn new_secret() -> [u8; Self::SECRET_LEN] {
        let mut secret = [0; Self::SECRET_LEN];
        rand::fill(&mut secret).expect("the system has random bytes");
        secret
    }

    pub(super) fn connection_ids(&self) -> Arc<ConnectionIds> {
        Arc::new(ConnectionIds::new(&self.derive(b"connection ids")))
    }

    pub(super) fn reset_key(&self) -> Arc<hmac::Key> {
        let key: [u8; 32] = self.derive(b"stateless reset");
        Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// Returns the key of tokens by which clients prove their address.
    pub(super) fn token_key(&self) -> Arc<Prk> {
        let key: [u8; 32] = self.derive(b"tokens");
        Arc::new(Salt::new(HKDF_SHA256, &[]).extract(&key))
    }

    fn derive<const LEN: usize>(&self, purpose: &[u8]) -> [u8; LEN] {
        let mut key = [0; LEN];
        let purpose = [purpose];
        let derived = self.0.expand(&purpose, Bytes(LEN));
        let filled = derived.and_then(|derived| derived.fill(&mut key));
        filled.expect("HKDF makes keys of this length");
        key
    }
}

impl std::fmt::Debug for QuicKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QuicKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_secret_has_the_same_keys_and_each_purpose_its_own() {
        let derive = |secret: u8, purpose: &[u8]| -> [u8; 32] {
            QuicKeys::from_secret(&[secret; 32]).derive(purpose)
        };
        assert_eq!(derive(1, b"a"), derive(1, b"a"));
        assert_ne!(derive(1, b"a"), derive(1, b"b"));
        assert_ne!(derive(1, b"a"), derive(2, b"a"));
    }
}
