//! The proof that a backend has understood a WebSocket handshake (RFC 6455 section 1.3).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// What the key is hashed with.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The key of one handshake.
#[derive(Debug)]
pub(in crate::proxy) struct WebSocketKey(String);

impl WebSocketKey {
    /// A key that no cache has seen. It need not be secret.
    pub(in crate::proxy) fn random() -> Self {
        Self(STANDARD.encode(fastrand::u128(..).to_be_bytes()))
    }

    pub(in crate::proxy) fn value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("base64 is valid in a field")
    }

    /// Whether `accept` is the answer to this key.
    pub(in crate::proxy) fn is_accepted_by(&self, accept: &HeaderValue) -> bool {
        let text = [self.0.as_str(), GUID].concat();
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        STANDARD.encode(hash).as_bytes() == accept.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_by_its_own_hash_alone() {
        let key = WebSocketKey("dGhlIHNhbXBsZSBub25jZQ==".to_owned());
        let accept = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(key.is_accepted_by(&accept));
        assert!(!WebSocketKey::random().is_accepted_by(&accept));
        assert_eq!(WebSocketKey::random().value().len(), 24);
    }
}
