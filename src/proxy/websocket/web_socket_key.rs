//! The key of a WebSocket handshake, by which the backend proves that it understood it (RFC 6455 section 1.3).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// Suffix that is hashed together with the key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Key of one handshake.
#[derive(Debug)]
pub(crate) struct WebSocketKey(String);

impl WebSocketKey {
    /// Creates a random key, which keeps caches from answering. It need not be secret.
    pub(crate) fn random() -> Self {
        Self(STANDARD.encode(fastrand::u128(..).to_be_bytes()))
    }

    pub(crate) fn value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("base64 is valid in a field")
    }

    /// `true` if `accept`, the value of Sec-WebSocket-Accept, belongs to this key.
    pub(crate) fn is_accepted_by(&self, accept: &HeaderValue) -> bool {
        let text = [self.0.as_str(), GUID].concat();
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        STANDARD.encode(hash).as_bytes() == accept.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_hash_accepts_a_key() {
        let key = WebSocketKey("dGhlIHNhbXBsZSBub25jZQ==".to_owned());
        let accept = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(key.is_accepted_by(&accept));
        assert!(!WebSocketKey::random().is_accepted_by(&accept));
        assert_eq!(WebSocketKey::random().value().len(), 24);
    }
}
