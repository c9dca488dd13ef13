//! The receiver of events about problems: a command, or a web server.

use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, warn};
use url::Url;

use super::problem::Event;
use crate::config::ProblemReceiver;
use crate::hook_command::{self, HookCommand};
use crate::web_client::{WebClientError, WebServers, web_client};

/// Time for one request to the web server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Pauses before another attempt.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
];

/// The receiver of events.
#[derive(Debug)]
pub(super) enum Receiver {
    /// Runs `COMMAND EVENT KIND SUBJECT SENTENCE`.
    Command(HookCommand),
    /// Posts JSON.
    Webhook { url: Url, http: reqwest::Client },
}

/// A reason why an event was not received. The URL may be a secret, so it is not shown.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Command(#[from] hook_command::Error),
    #[error(
        "the web server of `on-problem` answers with status {0}; correct its URL, or the server"
    )]
    Status(u16),
    #[error("the web server of `on-problem` cannot be reached: {0}")]
    Request(#[source] reqwest::Error),
}

impl Receiver {
    /// Creates the client of a configured receiver.
    pub(super) fn new(configured: &ProblemReceiver) -> Result<Self, WebClientError> {
        Ok(match configured {
            ProblemReceiver::Command(command) => Self::Command(HookCommand::new(command.clone())),
            ProblemReceiver::Webhook(webhook) => Self::Webhook {
                url: webhook.url().clone(),
                http: web_client(WebServers::at(webhook.url()), |client| {
                    client.timeout(TIMEOUT).pool_max_idle_per_host(0)
                })?,
            },
        })
    }

    /// Delivers an event, with further attempts if the first fails. Failures are logged.
    pub(super) async fn tell(&self, event: &Event) {
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match self.deliver(event).await {
                Ok(()) => {
                    debug!(kind = event.kind.word(), subject = %event.subject, "on-problem was told");
                    return;
                }
                Err(error) => error,
            };
            let pause = pauses.next();
            warn!(
                kind = event.kind.word(), subject = %event.subject, %error,
                retry_in = pause.map(tracing::field::debug),
                "on-problem could not be told"
            );
            match pause {
                Some(pause) => sleep(pause).await,
                None => return,
            }
        }
    }

    async fn deliver(&self, event: &Event) -> Result<(), Error> {
        match self {
            Self::Command(command) => {
                let args = [
                    event.event.word(),
                    event.kind.word(),
                    &event.subject,
                    &event.sentence,
                ];
                Ok(command.run(args).await?)
            }
            Self::Webhook { url, http } => {
                // Strings always serialize.
                let body = serde_json::to_vec(event).unwrap_or_default();
                let request = http.post(url.clone());
                let request = request.header(http::header::CONTENT_TYPE, "application/json");
                let response = request.body(body).send().await;
                let response = response.map_err(|error| Error::Request(error.without_url()))?;
                let status = response.status();
                if status.is_success() {
                    Ok(())
                } else {
                    Err(Error::Status(status.as_u16()))
                }
            }
        }
    }
}
