//! http-01 (RFC 8555 section 8.3): the table of tokens from which the port-80 listener answers.

use std::fmt;
use std::sync::Arc;

use dashmap::DashMap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::challenge_records::{ChallengeRecord, ChallengeRecords, StoredChallenge};
use crate::acme::{ChallengeType, Identifier, KeyAuthorization, Presented, Solver, SolverError};

/// Tokens of pending challenges. `Debug` does not show key authorizations.
#[derive(Default)]
pub struct Http01Tokens {
    tokens: DashMap<String, Entry>,
    /// Those of other processes.
    records: Option<ChallengeRecords>,
}

struct Entry {
    body: String,
    seen: watch::Sender<bool>,
}

impl Http01Tokens {
    /// Creates an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty table that shares its tokens with other processes.
    #[must_use]
    pub fn shared(records: ChallengeRecords) -> Self {
        Self {
            records: Some(records),
            ..Self::default()
        }
    }

    /// Returns the response body for the token of a pending challenge, and tells the order that the CA has asked for it.
    #[must_use]
    pub fn answer(&self, token: &str) -> Option<String> {
        let entry = self.tokens.get(token)?;
        entry.seen.send_replace(true);
        Some(entry.body.clone())
    }

    /// `true` if this process has published the token.
    #[must_use]
    pub fn has(&self, token: &str) -> bool {
        self.tokens.contains_key(token)
    }

    /// Returns the response body for a token that another process has published.
    pub async fn answer_of_other(&self, token: &str) -> Option<String> {
        let records = self.records.as_ref()?;
        let record = records.find(&ChallengeType::Http01, token).await?;
        Some(record.key_authorization)
    }

    /// Answers `token` with `body` until the returned publication is dropped.
    pub async fn publish(self: &Arc<Self>, token: String, body: String) -> Http01Publication {
        let (seen, _) = watch::channel(false);
        self.insert(token, Entry { body, seen }).await
    }

    async fn insert(self: &Arc<Self>, token: String, entry: Entry) -> Http01Publication {
        let record = ChallengeRecord::new(None, &entry.body);
        self.tokens.insert(token.clone(), entry);
        let mut publication = Http01Publication {
            tokens: Arc::clone(self),
            token,
            _stored: None,
        };
        if let Some(records) = &self.records {
            let added = records.add(&ChallengeType::Http01, &publication.token, &record);
            publication._stored = Some(added.await);
        }
        publication
    }

    /// Number of pending challenges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether no challenge is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

impl fmt::Debug for Http01Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http01Tokens")
            .field("len", &self.len())
            .finish()
    }
}

/// Token that is answered until this value is dropped.
#[derive(Debug)]
#[must_use = "dropping the publication ends it"]
pub struct Http01Publication {
    tokens: Arc<Http01Tokens>,
    token: String,
    _stored: Option<StoredChallenge>,
}

impl Drop for Http01Publication {
    fn drop(&mut self) {
        self.tokens.tokens.remove(&self.token);
    }
}

/// Solves http-01 challenges by publishing key authorizations in a table.
#[derive(Clone, Debug)]
pub struct Http01Solver {
    tokens: Arc<Http01Tokens>,
}

impl Http01Solver {
    /// Creates a solver that publishes in `tokens`.
    #[must_use]
    pub fn new(tokens: Arc<Http01Tokens>) -> Self {
        Self { tokens }
    }
}

impl Solver for Http01Solver {
    fn challenge_type(&self) -> ChallengeType {
        ChallengeType::Http01
    }

    fn present<'a>(
        &'a self,
        _: &'a Identifier,
        token: &'a str,
        key_authorization: &'a KeyAuthorization,
    ) -> BoxFuture<'a, Result<Presented, SolverError>> {
        let (seen, is_seen) = watch::channel(false);
        let body = key_authorization.http01_body().to_owned();
        let token = token.to_owned();
        let tokens = Arc::clone(&self.tokens);
        async move {
            let published = tokens.insert(token, Entry { body, seen }).await;
            Ok(Presented::new(is_seen, move || drop(published)))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::AccountKey;
    use crate::name::HostPattern;

    #[tokio::test]
    async fn a_token_is_answered_while_its_challenge_is_pending_and_reports_the_request() {
        let tokens = Arc::new(Http01Tokens::new());
        let solver = Http01Solver::new(Arc::clone(&tokens));
        let name = HostPattern::parse("www.example.org").unwrap();
        let name = Identifier::of_pattern(&name).unwrap();
        let proof = KeyAuthorization::new("token", &AccountKey::generate().unwrap());
        assert_eq!(tokens.answer("token"), None);

        let mut presented = solver.present(&name, "token", &proof).await.unwrap();

        assert_eq!(tokens.answer("other"), None);
        assert!(presented.seen().now_or_never().is_none());
        let answer = tokens.answer("token");
        assert_eq!(answer.as_deref(), Some(proof.http01_body()));
        assert!(presented.seen().now_or_never().is_some());
        drop(presented);
        assert_eq!(tokens.answer("token"), None);
        assert!(tokens.is_empty());
    }

    #[tokio::test]
    async fn a_publication_is_answered_until_it_is_dropped() {
        let tokens = Arc::new(Http01Tokens::new());
        let publication = tokens.publish("token".to_owned(), "answer".to_owned());
        let publication = publication.await;
        assert_eq!(tokens.answer("token").as_deref(), Some("answer"));
        drop(publication);
        assert!(tokens.is_empty());
    }
}
