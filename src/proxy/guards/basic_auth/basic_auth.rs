//! Name and password before a site (RFC 7617).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::credential_cache::CredentialCache;
use super::credentials::Credentials;
use super::hashing_limit::HashingLimit;
use super::password_hash::PasswordHash;
use crate::proxy::error::Refusal;

/// Who may come by name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicAuthOptions {
    /// What browsers show when they ask for a password.
    pub realm: Realm,
    /// The names, none with a colon, and their passwords: at least one.
    pub users: BTreeMap<String, PasswordHash>,
    /// Whether the app gets to see the credentials.
    pub forward: bool,
}

/// The name of what is protected, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm(String);

impl Realm {
    /// The realm of this name, unless that has control characters.
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

/// Lets those in who know a password.
#[derive(Debug)]
pub(in crate::proxy::guards) struct BasicAuth {
    options: BasicAuthOptions,
    /// Verified for names that nobody has, so that time does not tell them from the others.
    stand_in: PasswordHash,
    challenge: HeaderValue,
    cache: CredentialCache,
    hashing_limit: Arc<HashingLimit>,
}

impl BasicAuth {
    /// `None` where nobody is named.
    pub(in crate::proxy::guards) fn new(
        options: &BasicAuthOptions,
        hashing_limit: &Arc<HashingLimit>,
        workers: usize,
    ) -> Option<Self> {
        Some(Self {
            options: options.clone(),
            stand_in: options.users.values().next()?.clone(),
            challenge: options.realm.challenge(),
            cache: CredentialCache::new(workers),
            hashing_limit: Arc::clone(hashing_limit),
        })
    }

    /// What it was made of.
    pub(in crate::proxy::guards) fn options(&self) -> &BasicAuthOptions {
        &self.options
    }

    /// Refuses a request whose credentials are not those of a user. Those that are right go no further than here, unless
    /// they are to.
    pub(in crate::proxy::guards) async fn check(
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

    async fn verify(&self, credentials: &Credentials, worker: usize) -> Result<(), GuardRefusal> {
        let permit = self.hashing_limit.permit().await;
        let permit = permit.ok_or(GuardRefusal::PasswordsBusy)?;
        // The many requests of one page come with the same credentials.
        if self.cache.contains(credentials, worker) {
            return Ok(());
        }
        let user = std::str::from_utf8(credentials.user()).ok();
        let known = user.and_then(|user| self.options.users.get(user));
        let hash = known.unwrap_or(&self.stand_in).clone();
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
    async fn only_a_user_with_the_right_password_comes_in() {
        let guard = guard(false);
        for credentials in ["anna:se:cret", "änna:pässwörd", "anna:se:cret"] {
            guard.check(&mut basic(credentials), 0).await.unwrap();
        }
        // The stand-in's own password opens nothing under another name.
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
    async fn what_was_verified_needs_no_turn() {
        let guard = guard(false);
        guard.check(&mut basic("anna:se:cret"), 0).await.unwrap();
        guard.hashing_limit.waiting.close();
        guard.check(&mut basic("anna:se:cret"), 0).await.unwrap();
        let other = guard.check(&mut basic("anna:other"), 0).await;
        assert!(matches!(other, Err(GuardRefusal::PasswordsBusy)));
    }

    #[tokio::test]
    async fn the_app_sees_the_credentials_only_where_it_is_to() {
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
