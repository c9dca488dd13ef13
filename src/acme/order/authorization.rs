//! Proving one name (RFC 8555 sections 7.5 and 7.5.1): read the authorization, put the challenge up, tell the CA once, and
//! watch until it has decided.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::time::timeout;
use url::Url;

use super::key_authorization::{KeyAuthorization, is_token};
use super::persistent_record::PersistentRecord;
use super::solver::{Presented, Solver};
use crate::acme::account::Account;
use crate::acme::client::Looks;
use crate::acme::error::{Error, Step};
use crate::acme::resource::{
    AuthorizationResource, AuthorizationStatus, ChallengeResource, ChallengeStatus, ChallengeType,
    Identifier,
};

/// How long the CA is given to fetch the challenge before its answer is asked for all the same.
const UNSEEN: Duration = Duration::from_secs(1);

/// How long giving an authorization up may take.
const GIVE_UP: Duration = Duration::from_secs(10);

/// One authorization of an order.
pub(in crate::acme) struct Authorization<'a> {
    pub(in crate::acme) account: &'a Account,
    pub(in crate::acme) url: &'a Url,
}

impl Authorization<'_> {
    /// Proves the name with the first solver whose type the CA offers, unless it is proved already.
    pub(in crate::acme) async fn prove(&self, solvers: &[&dyn Solver]) -> Result<(), Error> {
        let (authorization, _) = self.read().await?;
        match authorization.status {
            AuthorizationStatus::Valid => return Ok(()),
            AuthorizationStatus::Pending => (),
            status => {
                let identifier = authorization.identifier;
                return Err(Error::AuthorizationStatus { identifier, status });
            }
        }
        let (challenge, solver) = choose(&authorization, solvers)?;
        let mut presented = self.present(&authorization, challenge, solver).await?;
        if challenge.status == ChallengeStatus::Pending {
            self.respond(challenge).await?;
        }
        let outcome = self.watch(&challenge.r#type, &mut presented).await;
        outcome.map_err(|error| error.beside(authorization.types_beside(&challenge.r#type)))
    }

    /// Reads the authorization, and how long the CA wants to be left alone (RFC 8555 section 7.5).
    async fn read(&self) -> Result<(AuthorizationResource, Option<Duration>), Error> {
        let response = self.account.read(Step::Authorization, self.url).await?;
        Ok((response.json()?, response.retry_after()))
    }

    /// Puts the challenge up (RFC 8555 section 8).
    async fn present(
        &self,
        authorization: &AuthorizationResource,
        challenge: &ChallengeResource,
        solver: &dyn Solver,
    ) -> Result<Presented, Error> {
        let identifier = &authorization.identifier;
        let token = match challenge.r#type {
            // A record that stands for good has no token.
            ChallengeType::DnsPersist01 => {
                self.name_record(authorization, challenge);
                Some("")
            }
            _ => challenge.token.as_deref().filter(|token| is_token(token)),
        };
        let Some(token) = token else {
            return Err(Error::Token {
                identifier: identifier.clone(),
                challenge: challenge.r#type.clone(),
            });
        };
        let key_authorization = KeyAuthorization::new(token, self.account.key());
        solver
            .present(identifier, token, &key_authorization)
            .await
            .map_err(|source| Error::Solver {
                identifier: identifier.clone(),
                source,
            })
    }

    /// Tells the operator of the record that the CA is about to look for.
    fn name_record(&self, authorization: &AuthorizationResource, challenge: &ChallengeResource) {
        let identifier = match (&authorization.identifier, authorization.wildcard) {
            (Identifier::Dns(name), true) => Identifier::Dns(format!("*.{name}")),
            (identifier, _) => identifier.clone(),
        };
        let Some(issuer) = challenge.issuer_domain_names.first() else {
            return;
        };
        self.account.learn_issuer_domain(issuer);
        let record = PersistentRecord::new(&identifier, issuer, self.account.url());
        tracing::info!(
            names = %identifier, record = record.name, value = record.value,
            "the CA looks for a TXT record that has to be set once"
        );
    }

    /// Tells the CA to look, exactly once (RFC 8555 section 7.5.1). Where the answer is lost, or says that the CA is at it
    /// already, the authorization itself tells how it stands.
    async fn respond(&self, challenge: &ChallengeResource) -> Result<(), Error> {
        let told = self
            .account
            .write(Step::Challenge, &challenge.url, &json!({}))
            .await;
        match told {
            Ok(_) => Ok(()),
            Err(error) if error.is_ambiguous() && error.retry_after().is_none() => Ok(()),
            Err(error) if error.status() == Some(StatusCode::CONFLICT) => Ok(()),
            Err(error) if error.status() == Some(StatusCode::BAD_REQUEST) => {
                match self.is_under_way(&challenge.r#type).await {
                    true => Ok(()),
                    false => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the CA works on the challenge, or has decided.
    async fn is_under_way(&self, kind: &ChallengeType) -> bool {
        let Ok((authorization, _)) = self.read().await else {
            return false;
        };
        authorization.status != AuthorizationStatus::Pending
            || authorization
                .challenge(kind)
                .is_some_and(|challenge| challenge.status != ChallengeStatus::Pending)
    }

    /// Watches until the CA has decided (RFC 8555 section 7.5.1): first for the CA's own look, then by asking.
    async fn watch(&self, kind: &ChallengeType, presented: &mut Presented) -> Result<(), Error> {
        let mut looks = Looks::slow(self.account.client().options().authorization_timeout);
        if timeout(UNSEEN.min(looks.limit()), presented.seen())
            .await
            .is_ok()
        {
            looks.hurry();
            looks.next(None).await;
        }
        loop {
            let retry_after = match self.read().await {
                Ok((authorization, retry_after)) => match decided(authorization, kind) {
                    Some(outcome) => return outcome,
                    None => retry_after,
                },
                Err(error) if error.is_transient() && !error.names_its_time() => {
                    error.retry_after()
                }
                Err(error) => return Err(error),
            };
            if !looks.next(retry_after).await {
                return self.undecided(kind, looks.limit()).await;
            }
        }
    }

    /// The last look: the CA had its time.
    async fn undecided(&self, kind: &ChallengeType, limit: Duration) -> Result<(), Error> {
        let (authorization, _) = self.read().await?;
        let identifier = authorization.identifier.clone();
        decided(authorization, kind)
            .unwrap_or(Err(Error::AuthorizationTimeout { identifier, limit }))
    }

    /// Gives up an authorization that nobody will prove any more, so that it does not count as pending (RFC 8555 section
    /// 7.5.2). Whether it works does not matter.
    pub(in crate::acme) async fn give_up(&self) {
        match timeout(GIVE_UP, self.deactivate()).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => {
                tracing::debug!(authorization = %self.url, %error, "authorization not given up");
            }
            Err(_) => tracing::debug!(authorization = %self.url, "authorization not given up"),
        }
    }

    /// A valid authorization is kept: the next order for the name can use it.
    async fn deactivate(&self) -> Result<(), Error> {
        let (authorization, _) = self.read().await?;
        if authorization.status == AuthorizationStatus::Pending {
            let request = json!({ "status": "deactivated" });
            let step = Step::Deactivate;
            self.account.write(step, self.url, &request).await?;
        }
        Ok(())
    }
}

fn choose<'a, 's>(
    authorization: &'a AuthorizationResource,
    solvers: &[&'s dyn Solver],
) -> Result<(&'a ChallengeResource, &'s dyn Solver), Error> {
    let mut choices = solvers.iter().filter_map(|solver| {
        let challenge = authorization.challenge(&solver.challenge_type())?;
        Some((challenge, *solver))
    });
    choices.next().ok_or_else(|| {
        let offered = authorization.challenges.iter();
        Error::NoChallenge {
            identifier: authorization.identifier.clone(),
            wanted: solvers.iter().map(|it| it.challenge_type()).collect(),
            offered: offered.map(|challenge| challenge.r#type.clone()).collect(),
        }
    })
}

/// What the CA has decided; none while it has not.
fn decided(
    authorization: AuthorizationResource,
    kind: &ChallengeType,
) -> Option<Result<(), Error>> {
    let has_failed = authorization
        .challenge(kind)
        .is_some_and(|challenge| challenge.status == ChallengeStatus::Invalid);
    match authorization.status {
        AuthorizationStatus::Valid => Some(Ok(())),
        AuthorizationStatus::Pending if !has_failed => None,
        AuthorizationStatus::Pending | AuthorizationStatus::Invalid => {
            Some(Err(Error::Authorization {
                problem: authorization.problem(),
                identifier: authorization.identifier,
                challenge: kind.clone(),
                alternatives: Vec::new(),
            }))
        }
        status => Some(Err(Error::AuthorizationStatus {
            identifier: authorization.identifier,
            status,
        })),
    }
}
