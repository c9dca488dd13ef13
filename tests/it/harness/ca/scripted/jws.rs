//! Reading signed requests as a strict CA does (RFC 8555 section 6.2).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::reply::Reply;

/// A signed request whose signature is not verified yet.
pub(super) struct Signed {
    pub(super) header: Header,
    /// Empty for POST-as-GET.
    pub(super) payload: Vec<u8>,
    message: String,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    alg: String,
    pub(super) nonce: String,
    pub(super) url: String,
    pub(super) jwk: Option<Jwk>,
    pub(super) kid: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Hash)]
#[serde(deny_unknown_fields)]
pub(super) struct Jwk {
    crv: String,
    kty: String,
    x: String,
    y: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flattened {
    protected: String,
    payload: String,
    signature: String,
}

impl Signed {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Reply> {
        let jws: Flattened = serde_json::from_slice(body).map_err(|_| malformed("no JWS"))?;
        let header = serde_json::from_slice(&decode(&jws.protected)?)
            .map_err(|error| malformed(&format!("bad header: {error}")))?;
        Ok(Self {
            header,
            payload: decode(&jws.payload)?,
            message: format!("{}.{}", jws.protected, jws.payload),
            signature: decode(&jws.signature)?,
        })
    }

    pub(super) fn verify(&self, key: &Jwk) -> Result<(), Reply> {
        if self.header.alg != "ES256" || self.header.jwk.is_some() == self.header.kid.is_some() {
            return Err(malformed("want ES256 and either a key or an account"));
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.point()?)
            .verify(self.message.as_bytes(), &self.signature)
            .map_err(|_| malformed("wrong signature"))
    }

    pub(super) fn json(&self) -> Result<Value, Reply> {
        serde_json::from_slice(&self.payload).map_err(|_| malformed("the payload is no JSON"))
    }
}

impl Jwk {
    fn point(&self) -> Result<Vec<u8>, Reply> {
        let (x, y) = (decode(&self.x)?, decode(&self.y)?);
        match self.crv == "P-256" && self.kty == "EC" && x.len() == 32 && y.len() == 32 {
            true => Ok([vec![4], x, y].concat()),
            false => Err(malformed("not a P-256 key")),
        }
    }

    /// Thumbprint of a key (RFC 7638), computed independently of the client.
    pub(super) fn thumbprint(&self) -> String {
        let text = format!(
            r#"{{"crv":"{}","kty":"{}","x":"{}","y":"{}"}}"#,
            self.crv, self.kty, self.x, self.y
        );
        URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
    }
}

/// Value of the TXT record (RFC 8555 section 8.4).
pub(super) fn dns01_value(key_authorization: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, key_authorization.as_bytes()))
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>, Reply> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| malformed("not base64url without padding"))
}

pub(super) fn malformed(detail: &str) -> Reply {
    Reply::problem(400, "malformed", detail)
}
