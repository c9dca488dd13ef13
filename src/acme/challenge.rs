//! The seam between the protocol, which knows what a name is proved with, and whoever can put it up for the CA to see.

use std::error::Error as StdError;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::jws::AccountKey;
use super::resource::{ChallengeType, Identifier};

/// Puts challenges of one type up for the CA to see.
pub trait Solver: Send + Sync {
    /// The type that this solver can meet.
    fn challenge_type(&self) -> ChallengeType;

    /// Puts the challenge up. When the future is done the CA may look at any moment; when the result is dropped the challenge
    /// is taken down.
    fn present<'a>(
        &'a self,
        identifier: &'a Identifier,
        token: &'a str,
        key_authorization: &'a KeyAuthorization,
    ) -> BoxFuture<'a, Result<Presented, SolverError>>;
}

/// Why a challenge could not be put up.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SolverError(Box<dyn StdError + Send + Sync>);

impl SolverError {
    /// Wraps the solver's own error.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// A challenge that is up; dropping it takes it down.
pub struct Presented {
    seen: watch::Receiver<bool>,
    take_down: Option<Box<dyn FnOnce() + Send>>,
}

impl Presented {
    /// A challenge that `seen` becomes true for once the CA has looked, and that `take_down` takes down.
    pub fn new(seen: watch::Receiver<bool>, take_down: impl FnOnce() + Send + 'static) -> Self {
        Self {
            seen,
            take_down: Some(Box::new(take_down)),
        }
    }

    /// Waits until the CA has looked, for ever where the solver cannot tell. Cancel safe.
    pub async fn seen(&mut self) {
        if self.seen.wait_for(|seen| *seen).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Presented {
    fn drop(&mut self) {
        if let Some(take_down) = self.take_down.take() {
            take_down();
        }
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").finish_non_exhaustive()
    }
}

/// What proves to the CA that the account's owner also controls the name (RFC 8555 section 8.1).
#[derive(Clone, PartialEq, Eq)]
pub struct KeyAuthorization(String);

impl KeyAuthorization {
    /// What `key` answers to `token`.
    #[must_use]
    pub fn new(token: &str, key: &AccountKey) -> Self {
        Self(format!("{token}.{}", key.thumbprint()))
    }

    /// The text itself, of which tls-alpn-01 and dns-01 publish the digest.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is served at `/.well-known/acme-challenge/TOKEN` (RFC 8555 section 8.3).
    #[must_use]
    pub fn http01_body(&self) -> &str {
        &self.0
    }

    /// The value of the TXT record at `_acme-challenge` (RFC 8555 section 8.4).
    #[must_use]
    pub fn dns01_value(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.0.as_bytes()))
    }
}

impl fmt::Debug for KeyAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyAuthorization").finish_non_exhaustive()
    }
}

/// Whether a token is base64url (RFC 8555 section 8.3): anything else has no place in a path.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn a_key_authorization_is_the_token_and_the_thumbprint_and_is_not_shown() {
        let key = AccountKey::generate().unwrap();
        let authorization = KeyAuthorization::new("token", &key);
        assert_eq!(
            authorization.http01_body(),
            format!("token.{}", key.thumbprint())
        );
        assert_eq!(format!("{authorization:?}"), "KeyAuthorization { .. }");
    }

    #[test]
    fn a_text_record_holds_the_digest() {
        let authorization = KeyAuthorization("token.thumbprint".to_owned());
        let value = authorization.dns01_value();
        assert_eq!(value, "61rBZ_4knHblO0MNoxFsXZ_eTFUHum0B6IVRbhvUn5I");
    }

    #[test]
    fn a_token_cannot_leave_its_folder() {
        assert!(is_token("LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"));
        for text in ["", "../secret", "a/b", "a.b", "a%2f", "a b", "a="] {
            assert!(!is_token(text), "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_challenge_is_seen_when_the_signal_says_so_and_not_when_it_ends() {
        let (signal, seen) = watch::channel(false);
        let mut presented = Presented::new(seen, || ());
        let wait = Duration::from_secs(1);
        assert!(timeout(wait, presented.seen()).await.is_err());
        signal.send(true).unwrap();
        assert!(timeout(wait, presented.seen()).await.is_ok());
        let (signal, seen) = watch::channel(false);
        let mut presented = Presented::new(seen, || ());
        drop(signal);
        assert!(timeout(wait, presented.seen()).await.is_err());
    }

    #[test]
    fn a_dropped_challenge_is_taken_down() {
        let (down, is_down) = watch::channel(false);
        let presented = Presented::new(is_down.clone(), move || down.send(true).unwrap());
        assert!(!*is_down.borrow());
        drop(presented);
        assert!(*is_down.borrow());
    }
}
