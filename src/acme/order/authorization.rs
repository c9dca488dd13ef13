//! The authorization of one name (RFC 8555 sections 7.5 and 7.5.1): reads it, presents a challenge, tells the CA once, and
//! polls until the CA has decided.

use std::time::Duration;

use http::StatusCode;
use serde::de::Error as _;
use serde_json::json;
use tokio::time::timeout;
use url::Url;

use super::dns_persist_record::DnsPersistRecord;
use super::key_authorization::{KeyAuthorization, is_token};
use super::solver::{Presented, Solver};
use crate::acme::account::Account;
use crate::acme::client::Polls;
use crate::acme::error::{Error, Step};
use crate::acme::resource::{
    AuthorizationResource, AuthorizationStatus, ChallengeResource, ChallengeStatus, ChallengeType,
    Identifier,
};

/// Time for the CA to fetch the challenge before the authorization is polled anyway.
const UNSEEN: Duration = Duration::from_secs(1);

/// Time-out of the deactivation of an authorization.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(10);

/// An authorization of an order.
pub(in crate::acme) struct Authorization<'a> {
    pub(in crate::acme) account: &'a Account,
    pub(in crate::acme) url: &'a Url,
    /// The identifier for a CA that leaves it out.
    pub(in crate::acme) identifier: Option<&'a Identifier>,
}

/// An authorization as the CA last reported it.
struct State {
    resource: AuthorizationResource,
    identifier: Identifier,
    retry_after: Option<Duration>,
}

impl Authorization<'_> {
    /// Solves a challenge with the first solver whose type the CA offers, unless the authorization is valid already.
    pub(in crate::acme) async fn prove(&self, solvers: &[&dyn Solver]) -> Result<(), Error> {
        let state = self.read().await?;
        match state.resource.status() {
            AuthorizationStatus::Valid => return Ok(()),
            AuthorizationStatus::Pending => (),
            status => {
                let identifier = state.identifier;
                return Err(Error::AuthorizationStatus { identifier, status });
            }
        }
        let (challenge, solver) = choose(&state, solvers)?;
        let mut presented = self.present(&state, challenge, solver).await?;
        if challenge.status == ChallengeStatus::Pending {
            self.respond(challenge).await?;
        }
        let outcome = self.watch(&challenge.r#type, &mut presented).await;
        outcome.map_err(|error| error.beside(state.resource.types_beside(&challenge.r#type)))
    }

    /// Reads the authorization (RFC 8555 section 7.5).
    async fn read(&self) -> Result<State, Error> {
        let response = self.account.read(Step::Authorization, self.url).await?;
        let resource: AuthorizationResource = response.json()?;
        let own = resource.identifier.clone();
        let identifier = own.or_else(|| self.identifier.map(without_wildcard));
        Ok(State {
            identifier: identifier.ok_or_else(|| Error::Json {
                step: Step::Authorization,
                source: serde_json::Error::custom("the authorization has no identifier"),
            })?,
            resource,
            retry_after: response.retry_after(),
        })
    }

    /// Presents the challenge (RFC 8555 section 8).
    async fn present(
        &self,
        state: &State,
        challenge: &ChallengeResource,
        solver: &dyn Solver,
    ) -> Result<Presented, Error> {
        let identifier = &state.identifier;
        let token = match challenge.r#type {
            // A persistent record has no token.
            ChallengeType::DnsPersist01 => {
                self.log_record(state, challenge);
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

    /// Logs the persistent record that the CA is about to look up, and remembers the issuer domain name in it.
    fn log_record(&self, state: &State, challenge: &ChallengeResource) {
        let identifier = match (&state.identifier, state.resource.wildcard) {
            (Identifier::Dns(name), true) => Identifier::Dns(format!("*.{name}")),
            (identifier, _) => identifier.clone(),
        };
        let Some(issuer) = challenge.issuer_domain_names.first() else {
            return;
        };
        self.account.learn_issuer_domain(issuer);
        let record = DnsPersistRecord::new(&identifier, issuer, self.account.url());
        tracing::info!(
            names = %identifier, record = record.name, value = record.value,
            "the CA looks up a TXT record that the operator has to set once"
        );
    }

    /// Tells the CA once to validate the challenge (RFC 8555 section 7.5.1). If the response is lost, or says that the
    /// validation runs already, the authorization itself shows its state.
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
                if self.is_under_way(&challenge.r#type).await {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(error) => Err(error),
        }
    }

    /// `true` if the CA is validating the challenge, or has decided.
    async fn is_under_way(&self, kind: &ChallengeType) -> bool {
        let Ok(State { resource, .. }) = self.read().await else {
            return false;
        };
        resource.status() != AuthorizationStatus::Pending
            || resource
                .challenge(kind)
                .is_some_and(|challenge| challenge.status != ChallengeStatus::Pending)
    }

    /// Waits until the CA has decided (RFC 8555 section 7.5.1): first for its request for the challenge, then by polls.
    async fn watch(&self, kind: &ChallengeType, presented: &mut Presented) -> Result<(), Error> {
        let mut polls = Polls::slow(self.account.client().options().authorization_timeout);
        if timeout(UNSEEN.min(polls.limit()), presented.seen())
            .await
            .is_ok()
        {
            polls.restart_quick();
            polls.next(None).await;
        }
        loop {
            let retry_after = match self.read().await {
                Ok(state) => match decided(&state, kind) {
                    Some(outcome) => return outcome,
                    None => state.retry_after,
                },
                Err(error) if error.is_transient() && !error.has_long_retry_after() => {
                    error.retry_after()
                }
                Err(error) => return Err(error),
            };
            if !polls.next(retry_after).await {
                return self.undecided(kind, polls.limit()).await;
            }
        }
    }

    /// Polls one last time, after the deadline.
    async fn undecided(&self, kind: &ChallengeType, limit: Duration) -> Result<(), Error> {
        let state = self.read().await?;
        decided(&state, kind).unwrap_or_else(|| {
            let identifier = state.identifier;
            Err(Error::AuthorizationTimeout { identifier, limit })
        })
    }

    /// Deactivates an authorization that is not needed any more, so that it does not count as pending (RFC 8555 section
    /// 7.5.2). Errors do not matter.
    pub(in crate::acme) async fn abandon(&self) {
        match timeout(ABANDON_TIMEOUT, self.deactivate()).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => {
                tracing::debug!(authorization = %self.url, %error, "authorization not deactivated");
            }
            Err(_) => tracing::debug!(authorization = %self.url, "authorization not deactivated"),
        }
    }

    /// Keeps a valid authorization, since the next order for the name can use it.
    async fn deactivate(&self) -> Result<(), Error> {
        let state = self.read().await?;
        if state.resource.status() == AuthorizationStatus::Pending {
            let request = json!({ "status": "deactivated" });
            let step = Step::Deactivate;
            self.account.write(step, self.url, &request).await?;
        }
        Ok(())
    }
}

/// Returns the name that an authorization for a wildcard is for (RFC 8555 section 7.1.4).
fn without_wildcard(identifier: &Identifier) -> Identifier {
    match identifier {
        Identifier::Dns(name) => {
            Identifier::Dns(name.strip_prefix("*.").unwrap_or(name).to_owned())
        }
        Identifier::Ip(_) => identifier.clone(),
    }
}

fn choose<'a, 's>(
    state: &'a State,
    solvers: &[&'s dyn Solver],
) -> Result<(&'a ChallengeResource, &'s dyn Solver), Error> {
    let mut choices = solvers.iter().filter_map(|solver| {
        let challenge = state.resource.challenge(&solver.challenge_type())?;
        Some((challenge, *solver))
    });
    choices.next().ok_or_else(|| {
        let offered = state.resource.challenges.iter();
        Error::NoChallenge {
            identifier: state.identifier.clone(),
            wanted: solvers.iter().map(|it| it.challenge_type()).collect(),
            offered: offered.map(|challenge| challenge.r#type.clone()).collect(),
        }
    })
}

/// Returns the CA's decision, or `None` while there is none.
fn decided(state: &State, kind: &ChallengeType) -> Option<Result<(), Error>> {
    let resource = &state.resource;
    let has_failed = resource
        .challenge(kind)
        .is_some_and(|challenge| challenge.status == ChallengeStatus::Invalid);
    match resource.status() {
        AuthorizationStatus::Valid => Some(Ok(())),
        AuthorizationStatus::Pending if !has_failed => None,
        AuthorizationStatus::Pending | AuthorizationStatus::Invalid => {
            Some(Err(Error::Authorization {
                problem: resource.problem(),
                identifier: state.identifier.clone(),
                challenge: kind.clone(),
                alternatives: Vec::new(),
            }))
        }
        status => Some(Err(Error::AuthorizationStatus {
            identifier: state.identifier.clone(),
            status,
        })),
    }
}
