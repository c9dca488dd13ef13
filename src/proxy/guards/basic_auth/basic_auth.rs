//! The guard that asks for a user name and a password (RFC 7617).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::credential_cache::CredentialCache;
use super::credentials::Credentials;
use super::hashing_limit::HashingLimit;
use super::password_hash::PasswordHash;
use crate::proxy::error::GuardRefusal;

/// Users who may access a site, and how they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicAuthOptions {
    /// Text that browsers show when they ask for the password.
    pub realm: Realm,
    /// User names with the hashes of their passwords. At least one; no name has a colon.
    pub users: BTreeMap<String, PasswordHash>,
    /// Whether the credentials are forwarded to the app.
    pub forward: bool,
}

/// Name of the protected area, without control characters (RFC 9110 section 11.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm(String);

impl Realm {
    /// Parses the name. `None` if it has control characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = !text.chars().any(char::is_control);
        is_plain.then(|| Self(text.to_owned()))
    }

    fn challenge(&self) -> HeaderValue {
        let quoted = self.0.replace('\\', r"\\").replace('"', "\\\"");
        let challenge = format!("Basic realm=\"{quoted}\", charset=\"UTF-8\"");
        HeaderValue::try_from(challenge).expect("text without control characters is a valid value")
    }
}

impl Default for Realm {
    fn default() -> Self {
        Self("restricted".to_owned())
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Admits requests with the password of a user.
#[derive(Debug)]
pub(crate) struct BasicAuth {
    options: BasicAuthOptions,
    /// Verified instead of the hash of an unknown user, so that response times do not reveal which users exist.
    decoy: PasswordHash,
    challenge: HeaderValue,
    cache: CredentialCache,
    hashing_limit: Arc<HashingLimit>,
}

impl BasicAuth {
    /// Creates the guard. `None` if there are no users.
    pub(crate) fn new(
        options: &BasicAuthOptions,
        hashing_limit: &Arc<HashingLimit>,
        workers: usize,
    ) -> Option<Self> {
        Some(Self {
            options: options.clone(),
            decoy: options.users.values().next()?.clone(),
            challenge: options.realm.challenge(),
            cache: CredentialCache::new(workers),
            hashing_limit: Arc::clone(hashing_limit),
        })
    }

    /// Options that the guard was created with.
    pub(crate) fn options(&self) -> &BasicAuthOptions {
        &self.options
    }

    /// Refuses a request without the credentials of a user. Valid credentials are removed from `headers` unless they
    /// are to be forwarded.
    pub(crate) async fn check(
        &self,
        headers: &mut HeaderMap,
        worker: usize,
    ) -> Result<(), GuardRefusal> {
        let credentials = Credentials::of(headers).ok_or_else(|| self.refused())?;
        if !self.cache.contains(&credentials, worker) {
            self.verify(&credentials, worker).await?;
        }
        if !self.options.forward {
            headers.remove(AUTHORIZATION);
        }
        Ok(())
    }

    /// Removes credentials of the guard's users from `headers` unless they are to be forwarded. For a request that needs
    /// none: a browser that logged in from another network still sends them.
    pub(crate) fn remove_own_credentials(&self, headers: &mut HeaderMap) {
        let is_own = |credentials: Credentials| {
            let user = std::str::from_utf8(credentials.user()).ok();
            user.is_some_and(|user| self.options.users.contains_key(user))
        };
        if !self.options.forward && Credentials::of(headers).is_some_and(is_own) {
            headers.remove(AUTHORIZATION);
        }
    }

    async fn verify(&self, credentials: &Credentials, worker: usize) -> Result<(), GuardRefusal> {
        let permit = self.hashing_limit.permit().await;
        let permit = permit.ok_or(GuardRefusal::PasswordsBusy)?;
        // The requests of one page arrive together with the same credentials: another one may have been verified by
        // now.
        if self.cache.contains(credentials, worker) {
            return Ok(());
        }
        let user = std::str::from_utf8(credentials.user()).ok();
        let known = user.and_then(|user| self.options.users.get(user));
        let hash = known.unwrap_or(&self.decoy).clone();
        let is_right = permit.verify(hash, credentials.password().to_vec()).await;
        if !is_right.ok_or(GuardRefusal::PasswordsBusy)? || known.is_none() {
            return Err(self.refused());
        }
        self.cache.insert(credentials, worker);
        Ok(())
    }

    fn refused(&self) -> GuardRefusal {
        GuardRefusal::Unauthorized {
            challenge: self.challenge.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::credentials::tests::basic;
    use super::super::password_hash::tests::cheap;
    use super::*;

    fn guard(forward: bool) -> BasicAuth {
        let users = [("anna", "se:cret"), ("änna", "pässwörd")];
        let users = users.map(|(user, password)| (user.to_owned(), cheap(password)));
        let options = BasicAuthOptions {
            realm: Realm::default(),
            users: BTreeMap::from(users),
            forward,
        };
        BasicAuth::new(&options, &Arc::default(), 1).unwrap()
    }

    #[tokio::test]
    async fn only_a_user_with_the_right_password_is_admitted() {
        let guard = guard(false);
        for credentials in ["anna:se:cret", "änna:pässwörd", "anna:se:cret"] {
            guard.check(&mut basic(credentials), 0).await.unwrap();
        }
        // The password behind the decoy admits no unknown user.
        for credentials in [
            "anna:se",
            "anna:",
            "bert:se:cret",
            ":se:cret",
            "anna:pässwörd",
        ] {
            let refused = guard.check(&mut basic(credentials), 0).await;
            assert!(
                matches!(refused, Err(GuardRefusal::Unauthorized { .. })),
                "{credentials}"
            );
        }
    }

    #[tokio::test]
    async fn verified_credentials_need_no_hashing_permit() {
        let guard = guard(false);
        guard.check(&mut basic("anna:se:cret"), 0).await.unwrap();
        guard.hashing_limit.waiting.close();
        guard.check(&mut basic("anna:se:cret"), 0).await.unwrap();
        let other = guard.check(&mut basic("anna:other"), 0).await;
        assert!(matches!(other, Err(GuardRefusal::PasswordsBusy)));
    }

    #[tokio::test]
    async fn credentials_are_forwarded_only_on_request() {
        for is_forwarded in [false, true] {
            let mut headers = basic("anna:se:cret");
            guard(is_forwarded).check(&mut headers, 0).await.unwrap();
            assert_eq!(headers.contains_key(AUTHORIZATION), is_forwarded);
        }
    }

    #[test]
    fn a_realm_is_quoted_and_has_no_control_characters() {
        let realm = Realm::parse(r#"Anna's "own" \ Büro"#).unwrap();
        let expected = r#"Basic realm="Anna's \"own\" \\ Büro", charset="UTF-8""#;
        assert_eq!(realm.challenge().as_bytes(), expected.as_bytes());
        assert!(Realm::parse("a\r\nset-cookie: b").is_none());
    }
}
