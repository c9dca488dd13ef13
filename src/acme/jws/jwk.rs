//! Public keys as JSON (RFC 7517), of the kinds that accounts and certificates have.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

/// A public key. Its fields have the order of RFC 7638 section 3.3, which serde keeps.
#[derive(Serialize)]
#[serde(untagged)]
pub(in crate::acme) enum Jwk {
    /// A point on a curve.
    Ec {
        crv: &'static str,
        kty: &'static str,
        x: String,
        y: String,
    },
    /// A modulus and its exponent.
    Rsa {
        e: String,
        kty: &'static str,
        n: String,
    },
}

impl Jwk {
    /// Takes an uncompressed point.
    pub(in crate::acme) fn ec(crv: &'static str, point: &[u8]) -> Self {
        let coordinates = point.get(1..).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        Self::Ec {
            crv,
            kty: "EC",
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        }
    }

    /// Takes big-endian numbers without leading zeros.
    pub(in crate::acme) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        Self::Rsa {
            e: URL_SAFE_NO_PAD.encode(exponent),
            kty: "RSA",
            n: URL_SAFE_NO_PAD.encode(modulus),
        }
    }
}
